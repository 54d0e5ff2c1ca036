"""What a source cannot do is refused while planning, or left out of the ladder with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plan.example_plan import setting
from transfuse.errors import UserError
from transfuse.plan.abilities import check_attacks
from transfuse.plan.ladder import ladder

FROZEN = {"trainable": False, "differentiable": False, "cuttable": False, "has_weights": False}


def made(**recipe):
    found = setting(ladder="standard", **recipe)
    notes = ("frozen: it answers through onnxruntime",)
    cards = {**found.cards, "b": replace(found.cards["b"], notes=notes, **FROZEN)}
    return ladder(found.recipe, cards, found.classes)


def candidate(**facts):
    return made(candidates={"x": facts})


def test_the_ladder_leaves_out_what_would_train_or_restart_it_and_says_why():
    found = made(candidates=["features/concat"])
    assert {"frozen/a", "frozen/b", "ensemble", "concat"} <= set(found.arms())
    assert list(found.tuned_singles) == ["frozen/a"]
    assert not found.tuned_fusions
    assert "random/a" in {follower.name for follower in found.followers}
    assert not {"random/b", "scratch"} & {follower.name for follower in found.followers}
    reasons = dict(found.not_measured)
    for name in ("tuned/b", "tuned/concat", "random/b", "scratch"):
        assert reasons[name] == "the weights of b are out of reach"


@pytest.mark.parametrize("train", ["full", {"regime": "partial", "until": "a.map"}])
def test_training_it_is_an_error_before_any_work(train):
    with pytest.raises(UserError, match="'b' cannot be trained") as error:
        candidate(fuse="features/concat", train=train)
    assert "onnxruntime" in str(error.value)
    assert "until: b.vector" in str(error.value)


def test_the_others_train_beside_it_where_its_own_frontier_is_its_end():
    found = candidate(fuse="features/concat", train={"regime": "partial", "until": "b.vector, a.map"})
    assert found.arms()["x"].regime == "partial"


def test_its_inside_is_out_of_reach_for_merges_and_cuts():
    for method in ({"fuse": "weights/mean"}, {"fuse": "structure/stitch", "cut": {"a": "early", "b": "map"}}):
        with pytest.raises(UserError, match="the inside of 'b' is out of reach"):
            candidate(**method, of=["a", "b"])


def test_an_attack_by_gradient_is_refused_where_no_source_lends_one_and_one_without_is_not():
    made(candidates=["features/concat"], judge={"conditions": {"pgd": [0.02]}})
    found = setting()
    blind = {name: replace(card, **FROZEN) for name, card in found.cards.items()}
    with pytest.raises(UserError, match="no gradient comes through 'a'") as error:
        check_attacks({"pgd": [0.02]}, blind)
    assert "square" in str(error.value)
    check_attacks({"square": [0.02], "blur": [1]}, blind)


def test_columns_are_fused_tuned_and_left_out_but_neither_drawn_anew_nor_trained_alone():
    found = setting(ladder="standard", candidates=["features/concat"])
    nothing = {"field": "columns", "trainable": False, "differentiable": False, "cuttable": False, "parameters": 0}
    cards = {**found.cards, "b": replace(found.cards["b"], **nothing)}
    made = ladder(found.recipe, cards, found.classes)
    assert list(made.tuned_singles) == ["frozen/a"]
    assert "concat" in made.tuned_fusions
    assert {"without/b", "random/a", "scratch", "copies"} <= {follower.name for follower in made.followers}
    reasons = dict(made.not_measured)
    assert reasons["random/b"] == "b has no weights to draw anew"
    assert reasons["tuned/b"] == "b has no weights to train"
    assert "no two sources" in reasons["soup"]
