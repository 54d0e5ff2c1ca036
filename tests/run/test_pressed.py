"""Sources compressed before they are fused: a card that tells of it, the same network each time, saved and loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from transfuse.errors import UserError
from transfuse.fusion import saved
from transfuse.fusion.connect import connect
from transfuse.plan.recipe import validated
from transfuse.registry import method
from transfuse.run.pressed import asked, pressed
from transfuse.source.open import make_card
from transfuse.steps._context import Context
from transfuse.steps._networks import source
from transfuse.store import Store
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
