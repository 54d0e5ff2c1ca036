"""Divided weights: which layers, what a process holds, what comes back, and one message where a layer is not called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.train.adamw import AdamW
from transfuse.train.ranks import Ranks, is_part, own
from transfuse.train.sharded import LEAST, large, sharded

WIDE = 256


class Tied(nn.Module):
    """Two layers that share their weight, beside one that has its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.own = (nn.Linear(WIDE, WIDE) for _ in range(3))
        self.second.weight = self.first.weight


class Reading(nn.Module):
    """A network that reads a layer's weight itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDE, WIDE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.layer.weight)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    store = torch.distributed.FileStore(str(tmp_path / "meeting"), 1)  # pyright: ignore[reportPrivateImportUsage]
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, WIDE), nn.Tanh(), nn.Linear(WIDE, WIDE), nn.Tanh(), nn.Linear(WIDE, 3))


def stepped(model: nn.Module, ranks: Ranks) -> torch.Tensor:
    """Three steps of the optimiser, with a bound that shortens; what the network answers before them."""
    x, y = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), torch.arange(6) % 3
    optimiser = AdamW([{"params": list(model.parameters()), "lr": 0.01}], ranks, weight_decay=0.1)
    with torch.no_grad():
        before = model(x)
    for _ in range(3):
        optimiser.zero_grad()
        ranks.weighed(nn.functional.cross_entropy(model(x), y), 6).backward()
        ranks.join(optimiser.parameters())
        ranks.shorten(optimiser.parameters(), 0.05)
        optimiser.step(1.0)
    return before


def test_layers_with_many_numbers_of_their_own_are_divided_and_what_they_hold_goes_with_them() -> None:
    assert large(network()) == ["2"]
    assert large(Tied()) == ["own"]
    attending = nn.Sequential(nn.MultiheadAttention(WIDE, 4), nn.Linear(2, 2))
    assert large(attending) == ["0"]
    assert large(nn.Linear(LEAST, 1)) == []


def test_a_divided_layer_learns_as_a_whole_one_and_comes_back_as_it_was(alone: None) -> None:
    model, plain = network(), network()
    layer, weight = model[2], model[2].weight
    with sharded(model, 1):
        assert is_part(model[2].weight) and not is_part(model[0].weight)
        assert weight.numel() == 0 and own(model[2].weight).shape == (WIDE, WIDE)
        inside = stepped(model, Ranks(shard=True))
        model.eval()
    outside = stepped(plain, Ranks())
    assert torch.equal(inside, outside)
    assert model[2] is layer and layer.weight is weight and type(layer) is nn.Linear and not layer.training
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-5, atol=1e-7)
    assert not torch.equal(weight, network()[2].weight)


def test_kept_weights_of_a_divided_layer_are_put_back(alone: None) -> None:
    model = network()
    first = model[2].weight.detach().clone()
    with sharded(model, 1):
        kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
        stepped(model, Ranks(shard=True))
        assert not torch.equal(own(model[2].weight), first)
        model.load_state_dict(kept)
    assert torch.equal(model[2].weight, first)


def test_a_weight_that_is_read_without_its_layer_is_one_message(alone: None) -> None:
    with pytest.raises(UserError, match="without calling") as caught, sharded(model := Reading(), 1):
        model(torch.zeros(2, WIDE))
    assert caught.value.where == "recipe, run.shard_weights"


def test_a_layer_keeps_the_order_of_its_numbers(alone: None) -> None:
    model = nn.Sequential(nn.Conv2d(WIDE, WIDE, 2)).to(memory_format=torch.channels_last)
    weight, order = model[0].weight.detach().clone(), model[0].weight.stride()
    with sharded(model, 1):
        assert is_part(model[0].weight)
    assert torch.equal(model[0].weight, weight) and model[0].weight.stride() == order


def test_other_errors_stay_what_they_are(alone: None) -> None:
    with pytest.raises(RuntimeError, match="something else"), sharded(network(), 1):
        raise RuntimeError("something else")
