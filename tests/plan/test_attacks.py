"""Attacks in a plan: asked by name and radius, made against each arm its own, on the same few items for all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plan.example_plan import plan, setting
from transfuse.errors import UserError
from transfuse.plan.attacks import Attack, attacks
from transfuse.plan.build import Builder
from transfuse.plan.exposures import conditions, unexposed
from transfuse.plan.recipe import parse
from transfuse.plan.setting import RowBlock
from transfuse.registry import shelf

ROWS = {"s0": RowBlock("s0", "rows of s0", 12)}
ASKED = {"pgd": [0.0157], "blur": [3], "fgsm": [0.0157, 0.1]}


def test_attacks_and_changes_of_the_input_part_ways():
    found = attacks(ASKED, (), ROWS)
    assert [one.name for one in found] == ["fgsm@0.0157", "fgsm@0.1", "pgd@0.0157"]
    assert [one.name for one in conditions(ASKED)] == ["blur@3"]
    assert found[2].digests == (shelf("conditions")["pgd"].digest,) and found[2].passes > found[0].passes
    assert all(one.judged and one.rows == ROWS for one in found)


def test_every_named_source_gives_one_more_attack_of_each_kind():
    names = [one.name for one in attacks({"pgd": [0.03]}, ("a", "b"), ROWS)]
    assert names == ["pgd@0.03", "pgd@0.03~a", "pgd@0.03~b"]


def test_a_kind_stands_for_all_attacks():
    assert {one.name.split("@")[0] for one in attacks({"attack": [0.03]}, (), ROWS)} >= {"fgsm", "pgd", "square"}


@pytest.mark.parametrize(
    ("judge", "told"),
    [("{conditions: {pgd: [2]}}", "from 0 to 1"), ("{conditions: {pdg: [0.1]}}", "did you mean 'pgd'"),
     ("{attacked: 3}", "attacked"), ("{transfer: lite0}", "transfer"), ("{transfer: [c]}", "unknown source 'c'"),
     ("{transfer: [a]}", "no attack is asked for")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(judge, told):
    with pytest.raises(UserError, match=told):
        parse(f"sources: [a, b]\ndata: x\njudge: {judge}", where="test")


def test_the_step_is_keyed_by_arm_attack_and_rows_and_by_the_source_it_is_made_against():
    from transfuse.plan.ladder import ladder

    made = setting()
    arms = ladder(made.recipe, made.cards, made.classes)
    build = Builder(made, arms=arms.arms())
    run = made.runs[0]
    rows = {run.name: RowBlock(run.name, "some rows", 12)}
    source = next(iter(made.cards))
    own, transferred = attacks({"pgd": [0.03]}, (source,), rows)
    first, second = arms.singles[:2]
    steps = [build.steps[build.exposed(arm, run, each)] for arm in (first, second) for each in (own, transferred)]
    assert len({step.name for step in steps}) == 4 and {step.kind for step in steps} == {"attack"}
    assert all(step.opens_test and step.inputs["rows"].key == "some rows" for step in steps)
    assert "surrogate" not in steps[0].inputs
    assert {step.inputs["surrogate"] for step in steps if "surrogate" in step.inputs} == {
        build.fit(build.arm(f"frozen/{source}"), run)
    }
    assert steps[0].work.backward == 12 * own.passes


@pytest.mark.parametrize(("test", "attacked"), [("all", {"ensemble", "hard"}), ("winner", {"ensemble"})])
def test_who_trained_against_attacks_is_attacked_wherever_every_candidate_is_judged(test, attacked):
    candidates = {
        "plain": {"fuse": "features/concat"},
        "hard": {"fuse": "features/concat", "train": {"regime": "frozen", "objective": "adversarial"}},
    }
    made = setting(judge={"test": test, "conditions": {"pgd": [0.03], "blur": [3]}}, candidates=candidates)
    rows = {run.name: RowBlock(run.name, "some rows", 12) for run in made.runs}
    made = replace(made, exposures=(*conditions({"blur": [3]}), *attacks({"pgd": [0.03]}, (), rows)))
    asked = [role.split("|") for role in plan(made).steps["evaluate"].inputs if role.startswith("expose|")]
    assert {place for _, place, *_, exposure in asked if exposure == "pgd@0.03"} == attacked
    assert {place for _, place, *_, exposure in asked if exposure == "blur@3"} == {"ensemble"}


def test_what_was_not_asked_is_told():
    told = dict(unexposed(conditions({"blur": [3]})))
    assert "attacks" in told and "conditions" not in told
    told = dict(unexposed(attacks({"pgd": [0.03]}, (), ROWS)))
    assert "attacks" not in told and "conditions" in told
    assert isinstance(attacks({"pgd": [0.03]}, (), ROWS)[0], Attack)
