"""Sources compressed before they are fused: a card that tells of it, the same network each time, saved and loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from plan.example_plan import plan, setting
from transfuse.errors import UserError
from transfuse.fusion import saved
from transfuse.fusion.connect import connect
from transfuse.plan.recipe import validated
from transfuse.registry import method
from transfuse.run.pressed import asked, pressed
from transfuse.source.open import make_card
from transfuse.steps import Context
from transfuse.steps._networks import source
from transfuse.steps.train import _refresh
from transfuse.store import Store
from transfuse.train.feed import CanvasFeed
from transfuse.types import Card

SIDE = 12


@pytest.fixture(scope="module")
def cards() -> tuple[Card, Card]:
    whole = make_card("thin", "demo:depthwise", root=Path(), canvas=SIDE)
    return whole, pressed(whole, asked({"method": "prune", "ratio": 0.25}, "here"), SIDE, Path(), None)


def test_nothing_asked_is_the_card_itself(cards):
    assert asked(None, "here") == {} and pressed(cards[0], {}, SIDE, Path(), None) is cards[0]


def test_the_card_tells_what_was_done_and_what_is_left(cards):
    whole, thin = cards
    assert thin.name == "thin" and thin.sha256 == whole.sha256 and thin.parameters < whole.parameters
    assert thin.tap("vector").width == whole.tap("vector").width
    assert "compress/prune, ratio 0.25" in thin.notes[-1]
    assert Card.from_record(thin.record()) == thin
    assert thin.compressed["digest"] == method("compress/prune").digest


def test_it_is_opened_alike_each_time_also_anew_and_survives_the_disk(cards, tmp_path):
    thin, context, images = cards[1], Context(Store(tmp_path), tmp_path), torch.rand(2, 3, SIDE, SIDE)
    first, again, fresh = (source(thin, context, fresh=anew) for anew in (False, False, True))
    assert torch.equal(first(images), again(images)) and first.card == thin
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (first, fresh)]
    assert shapes[0] == shapes[1] and not torch.equal(first(images), fresh(images))
    model = connect("features/concat", {"thin": first, "whole": source(cards[0], context)}, None, ["a", "b"]).eval()
    saved.save(model, tmp_path / "model", facts={"canvas": SIDE})
    loaded = saved.load(tmp_path / "model")
    assert torch.allclose(loaded(images), model(images), atol=1e-5)
    assert sum(each.numel() for each in loaded.parameters()) == sum(each.numel() for each in model.parameters())


def test_before_it_learns_as_a_whole_its_norms_know_the_rows_and_those_of_others_stay(cards, tmp_path):
    """What joints are settled on is what training sees: else they would divide by spreads that batches undo."""
    context, canvas = Context(Store(tmp_path), tmp_path), torch.rand(64, 3, SIDE, SIDE).numpy()
    members = {name: source(card, context) for name, card in zip(("whole", "thin"), cards, strict=True)}
    model = connect("features/concat", members, None, ["a", "b"]).eval()
    known = {name: value.clone() for name, value in model.state_dict().items()}
    feed = CanvasFeed(lambda rows: canvas[list(rows)], torch.device("cpu"))
    _refresh(model, (1,), feed, np.arange(64))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, known[name])}
    assert changed and all(name.startswith("members.thin.") and "running_" in name for name in changed)
    norm = next(each for each in model.member("thin").modules() if isinstance(each, torch.nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    model.member("thin")(torch.from_numpy(canvas))
    assert torch.allclose(norm.running_mean, seen[0].mean(dim=(0, 2, 3)), atol=1e-5)


def test_only_who_learns_as_a_whole_is_refreshed():
    made = setting(candidates={"all": {"fuse": "features/concat", "train": "full"}, "top": {"fuse": "features/concat"}})
    thin = replace(made.cards["b"], compressed={"method": "compress/prune"})
    steps = plan(replace(made, cards={**made.cards, "b": thin})).steps
    assert steps["fit all s0"].params["refreshed"] == [1]
    assert "refreshed" not in steps["fit top s0"].params
    assert "refreshed" not in plan(made).steps["fit all s0"].params
    asked = setting(candidates={"all": {"fuse": "features/concat", "train": {"regime": "full", "refresh": True}}})
    fit = plan(asked).steps["fit all s0"].params
    assert fit["refreshed"] == [0, 1] and "refresh" not in fit["schedule"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("prun", r"unknown compression[\s\S]*try: prune"),
        ({"ratio": 0.5}, "unknown compression"),
        ({"method": "prune", "ratio": 1}, "ratio must be"),
        ({"method": "prune", "rate": 0.5}, "unknown parameter"),
    ],
)
def test_what_cannot_be_asked_of_a_source_is_said(given, says):
    with pytest.raises(UserError, match=says):
        asked(given, "source 'thin', compress")


def test_what_needs_rows_cannot_be_done_before_there_are_any(cards):
    with pytest.raises(UserError, match="nothing to calibrate on"):
        pressed(cards[0], asked("quantise", "here"), SIDE, Path(), None)


def test_a_recipe_takes_it_beside_the_spec():
    recipe = validated({"sources": {"a": {"spec": "demo:vgg", "compress": "prune"}}, "data": "x"}, where="test")
    assert recipe.sources["a"].compress == "prune"
