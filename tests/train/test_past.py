"""A half-trained network goes on with the moments that its own optimiser had."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.files.weights import load_optimiser, load_pickle
from transfuse.fusion.recipient import moments_of
from transfuse.train.past import go_on


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


def stepped(model: nn.Module, optimiser: torch.optim.Optimizer, times: int, seed: int = 0) -> None:
    for turn in range(times):
        images = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed + turn))
        optimiser.zero_grad()
        model(images).square().sum().backward()
        optimiser.step()


def state(model: nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.Adam])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("names", [("model", "optimizer"), ("model_state_dict", "optimizer_state_dict")])
def test_going_on_from_a_file_is_never_having_stopped(kind: Any, named: bool, names: Any, tmp_path: Any) -> None:
    whole = network()
    optimiser = kind(whole.named_parameters() if named else whole.parameters(), 1e-2)
    stepped(whole, optimiser, 3)
    torch.save({names[0]: whole.state_dict(), names[1]: optimiser.state_dict(), "epoch": 3}, tmp_path / "half.pt")
    stepped(whole, optimiser, 4, seed=10)

    again = network()
    again.load_state_dict(load_pickle(tmp_path / "half.pt"))
    past = load_optimiser(tmp_path / "half.pt")
    assert past is not None
    # In groups of its own, as the training loop makes them.
    groups = [{"params": [again[2].weight, again[2].bias]}, {"params": [again[0].bias, again[0].weight]}]
    other = kind(groups, 1e-2)
    assert go_on(other, moments_of(again, past, "half.pt")) == 4
    stepped(again, other, 4, seed=10)
    assert torch.allclose(state(again), state(whole), atol=1e-7)
    forgetful = network()
    forgetful.load_state_dict(load_pickle(tmp_path / "half.pt"))
    stepped(forgetful, kind(forgetful.parameters(), 1e-2), 4, seed=10)
    assert not torch.allclose(state(forgetful), state(whole), atol=1e-3)


def test_a_file_without_an_optimiser_has_no_past(tmp_path: Any) -> None:
    torch.save({"model": network().state_dict()}, tmp_path / "half.pt")
    assert load_optimiser(tmp_path / "half.pt") is None
    torch.save({"model": network().state_dict(), "optimizer": {"state": 3}}, tmp_path / "half.pt")
    with pytest.raises(UserError, match="no state of an optimiser"):
        load_optimiser(tmp_path / "half.pt")


def test_an_optimiser_that_does_not_fit_is_refused() -> None:
    model = network()
    momentum = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    stepped(model, momentum, 1)
    with pytest.raises(UserError, match="only Adam's moments"):
        moments_of(model, momentum.state_dict(), "half.pt")
    adam = torch.optim.Adam([{"params": model[0].parameters()}, {"params": model[2].parameters()}], 0.1)
    stepped(model, adam, 1)
    with pytest.raises(UserError, match="several groups"):
        moments_of(model, adam.state_dict(), "half.pt")
    plain = torch.optim.Adam(model.parameters(), 0.1)
    stepped(model, plain, 1)
    with pytest.raises(UserError, match="not of this network"):
        moments_of(model[0], plain.state_dict(), "half.pt")
    with pytest.raises(UserError, match="not of this network"):
        moments_of(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), plain.state_dict(), "half.pt")


def test_what_is_not_trained_and_what_has_no_moments_begins_anew() -> None:
    model = network()
    adam = torch.optim.Adam(model.parameters(), 0.1)
    model[2].requires_grad_(False)
    stepped(model, adam, 1)
    past = moments_of(model, adam.state_dict(), "half.pt")
    assert set(past) == {model[0].weight, model[0].bias}
    only = torch.optim.Adam(model[2].parameters(), 0.1)
    assert go_on(only, past) == 0
    assert not only.state
