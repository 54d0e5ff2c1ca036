"""What follows a choice: controls of the winner, singles that match it, and what each ladder leaves out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plan.example_plan import arms, card, plan, setting
from transfuse.errors import UserError
from transfuse.plan.arms import ArmSpec, Scene
from transfuse.plan.controls import random, restricted, without
from transfuse.plan.ladder import Ladder, ladder
from transfuse.plan.recipe import validated
from transfuse.reads import Read
from transfuse.schedules import schedule
from transfuse.types import Card

FULL = {"ladder": "full"}


def names(made: Ladder) -> set[str]:
    return {follower.name for follower in made.followers}


def missing(made: Ladder) -> dict[str, str]:
    return dict(made.not_measured)


def lose(made: Any, arm: str, source: str) -> ArmSpec | None:
    found = arms(made)
    return without(Scene(made.recipe, made.cards), found.contenders[arm], source, {**found.arms(), **found.contenders})


def test_the_full_ladder_has_every_rung() -> None:
    found = arms(setting(**FULL, alternative="demo:d"))
    assert names(found) == {
        "copies", "random/a", "random/b", "without/a", "without/b", "scratch", "compute_matched", "parameter_matched",
    }  # fmt: skip
    assert "soup" in found.arms()


@pytest.mark.parametrize(
    ("word", "absent"),
    [
        ("quick", {"scratch", "tuned/…", "soup", "compute_matched", "parameter_matched", "alternative"}),
        ("standard", {"compute_matched", "parameter_matched", "alternative"}),
        ("full", set()),
    ],
)
def test_what_a_ladder_leaves_out_is_told(word: str, absent: set[str]) -> None:
    found = missing(arms(setting(ladder=word)))
    assert set(found) - {"as_is/a", "as_is/b"} == absent
    assert all(f"'{word}'" in found[name] for name in absent)


def test_controls_follow_what_was_trained_as_well_as_how() -> None:
    found = arms(setting(ladder="standard"))
    for name in ("random/a", "without/a"):
        options = found.follower(name)
        assert {key: arm.regime for key, arm in options.items()} == {
            "concat": "frozen", "gate": "frozen", "tuned/concat": "full", "tuned/gate": "full",
        }  # fmt: skip
    copied = found.follower("copies")["tuned/gate with frozen/b"]
    assert (copied.regime, copied.method, copied.members) == ("full", "features/gate", ("b",))


def test_all_controls_are_controls_and_never_ship() -> None:
    found = arms(setting(**FULL))
    assert {arm.role for follower in found.followers for arm in follower.options.values()} == {"control"}


def test_of_three_members_two_stay_with_their_method() -> None:
    arm = lose(setting(count=3), "gate", "b")
    assert (arm.members, arm.method) == (("a", "c"), "features/gate")
    assert {read.member for read in arm.reads} == {"a", "c"}


def test_of_two_members_the_others_own_arm_stays_with_its_key() -> None:
    made = setting()
    steps = plan(made).steps
    left, own = steps["fit without/a@gate s0"], steps["fit frozen/b s0"]
    assert (left.params, left.inputs, left.digests) == (own.params, own.inputs, own.digests)


def test_a_merge_loses_a_member_and_its_weight() -> None:
    soup = {"mean": {"fuse": "weights/mean", "weights": [1, 2, 3]}}
    arm = lose(setting(count=3, candidates=soup), "mean", "a")
    assert (arm.members, arm.merge["weights"], arm.reads[0].member) == (("b", "c"), [2, 3], "b")


def test_a_pool_loses_the_arms_of_that_source() -> None:
    given = {"both": {"fuse": "outputs/mean_prob", "of": ["a", "b", "c"]}}
    assert lose(setting(count=3, candidates=given), "both", "a").members == ("frozen/b", "frozen/c")
    two = {"both": {"fuse": "outputs/mean_prob", "of": ["a", "b"]}}
    assert lose(setting(candidates=two), "both", "a").members == ("b",)


def test_a_pool_that_holds_a_fusion_cannot_spare_its_members() -> None:
    given = {"gate": {"fuse": "features/gate"}, "both": {"fuse": "outputs/mean_prob", "of": ["a", "gate"]}}
    assert lose(setting(candidates=given), "both", "b") is None


def test_what_does_not_hold_a_source_cannot_lose_it() -> None:
    given = {"gate": {"fuse": "features/gate", "of": ["a", "b"]}}
    assert lose(setting(count=3, candidates=given), "gate", "c") is None


def test_a_recipient_starts_with_nothing_of_a_source_that_a_control_takes_away() -> None:
    method = "structure/lateral"
    reads = tuple(Read(name, tap, use="block") for name, tap in (("a", "early"), ("b", "early")))
    arm = ArmSpec(
        "into", "candidate", "fused", "train", ("a", "b"), method, {}, reads, schedule("frozen", where="test")
    )
    arm = replace(arm, recipient=True, start="a")
    own = replace(card("own"), taps={name: replace(tap, cut=True) for name, tap in card("own").taps.items()})
    cards = {name: replace(own, name=name) for name in ("a", "b")}
    scene = Scene(setting().recipe, cards, own)
    assert [random(arm, name).start for name in ("a", "b")] == ["", "a"]
    left = [without(scene, arm, name, {}) for name in ("a", "b")]
    assert [None if one is None else (one.members, one.start) for one in left] == [(("b",), ""), (("a",), "a")]


def test_a_partial_frontier_stays_for_the_members_that_stay() -> None:
    plan_of_both = schedule({"regime": "partial", "until": "a.map, b.early"}, where="test")
    assert restricted(plan_of_both, ["b"]).until == "b.early"
    assert (restricted(plan_of_both, ["c"]).regime, restricted(plan_of_both, ["c"]).until) == ("full", None)
    assert restricted(None, ["a"]) is None


def test_soup_needs_two_sources_of_one_architecture() -> None:
    made = setting(ladder="standard")
    other = {**made.cards, "b": card("b", width=9)}
    found = ladder(made.recipe, other, made.classes)
    assert "soup" not in found.arms() and "architecture" in missing(found)["soup"]


def test_soup_is_of_the_largest_group() -> None:
    made = setting(count=3, ladder="standard")
    cards: dict[str, Card] = {**made.cards, "a": card("a", width=9)}
    assert ladder(made.recipe, cards, made.classes).arms()["soup"].members == ("b", "c")


def test_a_candidate_called_soup_takes_the_rungs_place() -> None:
    found = arms(setting(ladder="standard", candidates={"soup": {"fuse": "weights/mean"}}))
    assert found.arms()["soup"].role == "candidate"


def alternative() -> Ladder:
    made = setting(**FULL, alternative={"spec": "demo:d", "taps": ["map"]})
    return ladder(made.recipe, {**made.cards, "alternative": card("alternative")}, made.classes)


def test_the_alternative_is_frozen_and_tuned_and_in_no_fusion() -> None:
    found = alternative()
    own = [found.arms()[name] for name in ("alternative", "tuned/alternative")]
    assert [(arm.members, arm.role, arm.regime) for arm in own] == [
        (("alternative",), "baseline", "frozen"),
        (("alternative",), "baseline", "full"),
    ]
    assert own[0].reads[0].tap == "map"
    others = [arm for name, arm in {**found.arms(), **found.contenders}.items() if not name.endswith("alternative")]
    assert not [arm for arm in others if "alternative" in arm.members]
    assert not found.proposes


def test_without_an_alternative_one_is_proposed_from_what_the_winner_costs() -> None:
    steps = plan(setting(**FULL)).steps
    assert set(steps["propose"].selects[0].options) == {"concat", "gate", "tuned/concat", "tuned/gate"}
    assert steps["evaluate"].inputs["proposal"] == "propose"
    assert "propose" not in plan(setting(ladder="standard")).steps


def test_a_source_may_not_take_the_alternatives_name() -> None:
    with pytest.raises(UserError, match="may not be called"):
        validated({"sources": {"alternative": "demo:a"}, "data": "x", "alternative": "demo:b"}, where="test")


def test_matched_singles_follow_the_winner_and_the_best_single() -> None:
    found = plan(setting(**FULL)).steps
    fit = found["fit compute_matched@tuned/a s0"]
    assert fit.inputs["match"] == "match compute_matched@tuned/a"
    match = found["match compute_matched@tuned/a"]
    assert match.selects[0].choice == "winner"
    assert match.selects[0].options["gate"] == {
        "winner": "count gate", "count|0": "count gate", "fit|0|s0": "fit gate s0", "fit|0|s1": "fit gate s1",
    }  # fmt: skip
    assert found["predict compute_matched@tuned/a s0"].inputs["match"] == fit.inputs["match"]


def test_matched_singles_of_a_fold_match_what_that_fold_chose() -> None:
    found = plan(setting(**FULL, crossfit=True)).steps
    assert found["match parameter_matched@frozen/a f1"].selects[0].choice == "winner f1"
    assert found["count parameter_matched@frozen/a f1"].inputs["match"] == "match parameter_matched@frozen/a f1"
    assert not [name for name in found if name.startswith("match") and name.endswith("final")]


def test_no_match_and_no_proposal_opens_judged_rows() -> None:
    found = plan(setting(**FULL)).steps.values()
    opening = {step.name for step in found if step.opens_test}
    for step in found:
        if step.kind in ("match", "propose"):
            refs = [
                *step.inputs.values(),
                *(ref for roles in step.selects[0].options.values() for ref in roles.values()),
            ]
            assert not opening & {str(ref) for ref in refs}


@pytest.mark.parametrize("given", [{"ladder": "quick"}, {"ladder": "standard", "sizes": [1.0]}])
def test_no_smaller_sizes_no_more_fits(given: dict[str, Any]) -> None:
    assert not [role for role in plan(setting(**given)).steps["evaluate"].inputs if role.startswith("fewer")]


def test_features_of_rows_apart_are_what_the_singles_read_anyway() -> None:
    found = plan(setting()).steps["evaluate"].inputs
    assert {role: ref for role, ref in found.items() if role.startswith("features")} == {
        "features|a|0": "extract a.vector pool",
        "features|b|0": "extract b.vector pool",
    }


def test_the_best_single_that_folds_chose_unlike_has_a_model_to_ship() -> None:
    """On every ladder: it is judged under this name, which is no arm's, where folds do not agree on one."""
    for ladder_ in ("quick", "standard"):
        (select,) = plan(setting(crossfit=True, ladder=ladder_)).steps["ship"].selects
        assert select.options["best_single"] == {"choice|best_single": "best_single final"}
    (select,) = plan(setting(ladder="quick")).steps["ship"].selects
    assert "best_single" not in select.options
