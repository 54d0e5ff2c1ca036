"""Retention is computed only where something can have been forgotten, and asked of whoever has a head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plan.example_plan import plan, setting
from plan.test_exposures import ANSWERS
from transfuse.plan.exposures import Exposure
from transfuse.plan.graph import Plan, resolved
from transfuse.plan.retention import has_head
from transfuse.plan.setting import RowBlock, Setting


def inputs(made: Plan, **chosen: str) -> dict[str, Any]:
    return resolved(made.steps["evaluate"], lambda choice: (ANSWERS | chosen)[choice.split(" ")[0]])


def asked(made: Plan, **chosen: str) -> dict[str, Any]:
    return {role: ref for role, ref in inputs(made, **chosen).items() if role.startswith("retain|")}


def with_own(made: Setting) -> Setting:
    own = Exposure("own:a", {"extra": "own:a"}, (), "own-items", (RowBlock("items", "own-rows", 9),))
    return replace(made, own={"a": own})


def headless(made: Setting) -> Setting:
    card = made.cards["b"]
    taps = card.taps | {"vector": replace(card.taps["vector"], place=card.taps["logits"].place)}
    return replace(made, cards={**made.cards, "b": replace(card, taps=taps)})


def test_frozen_arms_forget_nothing_so_nothing_is_computed():
    made = plan(setting(ladder="standard"))
    assert asked(made) == {}
    assert made.steps["evaluate"].params["holdings"]["concat"] == {
        "concat": {"moves": False, "members": {"0": "a", "1": "b"}}
    }


def test_trained_members_are_compared_with_their_own_answers_on_the_selection_rows():
    made = plan(setting(ladder="standard", runs=1))
    found = asked(made, winner="tuned/concat")
    assert found == {"retain|best_fusion|tuned/concat|s0|tuned/concat": "retain tuned/concat s0"}
    step = made.steps["retain tuned/concat s0"]
    assert step.inputs["before0"] == "extract a.logits pool unpooled" and not step.opens_test
    assert step.work.forward == 20 and step.params["heads"] == [0, 1]
    assert not [ref for role, ref in step.inputs.items() if role == "items" and "outside" in str(ref)]


def test_the_logits_before_are_those_of_the_source_as_it_is():
    """Who asked for an as-is arm already has them."""
    made = plan(setting(ladder="standard", runs=1))
    assert made.steps["extract a.logits pool unpooled"].params["pool"] is False


def test_the_best_single_is_asked_too_and_controls_are_not():
    made = plan(setting(ladder="standard", runs=1))
    assert list(asked(made, best_single="tuned/a")) == ["retain|best_single|tuned/a|s0|tuned/a"]
    assert not [name for name in made.steps if name.startswith(("retain scratch", "retain random"))]


def test_a_merge_of_weights_has_changed_its_members_even_when_frozen():
    soup = {"soup": {"fuse": "weights/mean", "of": ["a", "b"]}}
    found = asked(plan(setting(candidates=soup, runs=1)), winner="soup")
    assert list(found) == ["retain|best_fusion|soup|s0|soup"]


def test_a_pool_is_asked_through_its_parts():
    pool = {
        "whole": {"fuse": "features/concat", "train": "full"},
        "pool": {"fuse": "outputs/mean_prob", "of": ["whole", "a"]},
    }
    made = plan(setting(candidates=pool, runs=1))
    assert list(asked(made, winner="pool")) == ["retain|best_fusion|pool|s0|whole"]
    assert made.steps["evaluate"].params["holdings"]["pool"] == {
        "whole": {"moves": True, "members": {"0": "a", "1": "b"}},
        "frozen/a": {"moves": False, "members": {"0": "a"}},
    }


def test_a_task_of_its_own_is_asked_of_frozen_arms_too_since_its_accuracy_is_not_known():
    made = plan(with_own(setting(runs=1)))
    step = made.steps["retain concat s0"]
    assert list(asked(made)) == ["retain|best_fusion|concat|s0|concat"]
    assert step.inputs["own0"] == "extract a.logits items unpooled own:a" and "own1" not in step.inputs
    assert "before0" not in step.inputs and step.work.forward == 0


def test_a_source_without_a_head_is_left_out_and_told():
    made = headless(setting(ladder="standard", runs=1))
    assert [has_head(card) for card in made.cards.values()] == [True, False]
    found = plan(made)
    assert found.steps["retain tuned/concat s0"].params["heads"] == [0]
    assert dict(found.not_measured)["retention of b"] == "the source has no head of its own"
    assert asked(found, best_single="tuned/b") == {}


def test_what_was_not_asked_of_own_tasks_is_listed():
    assert "the sources' own tasks" in dict(plan(setting()).not_measured)
    assert "the sources' own tasks" not in dict(plan(with_own(setting())).not_measured)
