"""A half-trained recipient in a recipe: its weights, its moments, what it may have seen, its control from scratch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from transfuse.plan.recipe import validated
from transfuse.reads import CANVAS, OF_CANVAS, OF_RECIPIENT, RECIPIENT
from transfuse.seeds import stream
from transfuse.source.open import identity, make_card
from transfuse.steps import Context, _networks
from transfuse.store import Artifact, Store
from transfuse.train.past import go_on

FACTORY = """
from torch import nn


def small():
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
"""
SPEC = "factory:half_trained_factory:small?checkpoint=half.pt"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A factory, and a checkpoint of three steps of AdamW on what it makes."""
    (tmp_path / "half_trained_factory.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(tmp_path)
    import half_trained_factory  # pyright: ignore[reportMissingImports]

    model = half_trained_factory.small()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    for turn in range(3):
        images = torch.from_numpy(stream("images", turn).random((4, 3, 16, 16))).float()
        optimiser.zero_grad()
        model(images).square().sum().backward()
        optimiser.step()
    torch.save({"model": model.state_dict(), "optimizer": optimiser.state_dict()}, tmp_path / "half.pt")
    yield tmp_path
    sys.modules.pop("half_trained_factory", None)


def opened(folder: Path, **changes: Any) -> tuple[nn.Module, Any]:
    """The recipient alone under a new head, and what is known of its parameters."""
    card = make_card(RECIPIENT, SPEC, root=folder, canvas=16)
    reads = [[OF_CANVAS, CANVAS, "plain"], [OF_RECIPIENT, "vector", "plain", "place"]]
    params = {"method": "structure/alone", "settings": {}, "reads": reads, "random": [], "merge": None}
    params |= {"classes": ["a", "b", "c", "d"], **changes}
    inputs = {RECIPIENT: Artifact(card.record(), {})}
    context = Context(Store(folder / "store"), folder)
    crown = _networks.new_crown(params, inputs, 0, context)
    return crown, _networks.past(params, inputs, context)(crown)


def test_weights_and_moments_go_on_in_what_trains_it(folder: Path) -> None:
    crown, past = opened(folder)
    saved = torch.load(folder / "half.pt", weights_only=True)
    optimiser = torch.optim.AdamW(crown.parameters(), 1e-2)
    assert go_on(optimiser, past) == 4, "two layers of weights and biases; the head is new"
    (kernel,) = [one for one in crown.parameters() if one.shape == (8, 6, 3, 3)]
    assert torch.equal(kernel, saved["model"]["2.weight"])
    assert torch.equal(optimiser.state[kernel]["exp_avg"], saved["optimizer"]["state"][2]["exp_avg"])
    assert optimiser.state[kernel]["step"] == 3


def test_from_scratch_nothing_of_the_past_is_left(folder: Path) -> None:
    crown, past = opened(folder, random=[OF_RECIPIENT])
    saved = torch.load(folder / "half.pt", weights_only=True)
    (kernel,) = [one for one in crown.parameters() if one.shape == (8, 6, 3, 3)]
    assert not torch.equal(kernel, saved["model"]["2.weight"])
    assert past == {}


def test_another_checkpoint_is_another_card(folder: Path) -> None:
    before = identity(SPEC, folder)
    content = torch.load(folder / "half.pt", weights_only=True)
    content["optimizer"]["state"][0]["step"] += 1
    torch.save(content, folder / "half.pt")
    assert identity(SPEC, folder) != before, "the optimiser's state decides what comes out, so it is part of the key"


def test_what_was_trained_before_may_have_seen_the_rows() -> None:
    facts = {"sources": {"a": "demo:vgg"}, "data": "sklearn:digits"}
    new, half = (
        validated({**facts, "recipient": f"factory:own:small{more}"}, where="test").recipient
        for more in ("", "?checkpoint=half.pt")
    )
    assert new is not None and half is not None
    assert (new.seen, half.seen) == ("none", "unknown")
