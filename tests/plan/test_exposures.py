"""Exposed are the winner, the best single and the ensemble, nobody else; clean steps do not know of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plan.example_plan import arms, plan, setting
from plan.test_graph import CHOSEN, keys
from transfuse.plan.exposures import Exposure, conditions
from transfuse.plan.graph import Given, Plan, resolved
from transfuse.plan.make import make_plan
from transfuse.plan.setting import RowBlock, Setting

BLUR = {"blur": [3]}


def outside(made: Setting) -> Exposure:
    rows = {run.name: RowBlock(run.name, f"outside-{run.name}", 7) for run in made.runs}
    return Exposure("ood:x", {"extra": "ood:x"}, (), "outside-items", (RowBlock("items", "outside-rows", 14),), rows)


def exposed(*, ood: bool = False, asked: dict[str, list[Any]] | None = None, **recipe: Any) -> Setting:
    made = setting(**recipe)
    more = (outside(made),) if ood else ()
    return replace(made, exposures=(*conditions(BLUR if asked is None else asked), *more))


def wanted(made: Plan, chosen: dict[str, str]) -> dict[str, Any]:
    """What the evaluation reads of exposures once the choices are made."""
    inputs = resolved(made.steps["evaluate"], lambda choice: chosen[choice.split(" ")[0]])
    return {role: ref for role, ref in inputs.items() if role.startswith("expose|")}


ANSWERS = CHOSEN | {"best_single": "frozen/b"}


def test_the_winner_the_best_single_and_the_ensemble_are_exposed_and_nobody_else():
    found = wanted(plan(exposed(runs=1)), ANSWERS)
    assert found == {
        "expose|ensemble|ensemble|s0|blur@3": "predict ensemble s0 blur@3",
        "expose|best_single|frozen/b|s0|blur@3": "predict frozen/b s0 blur@3",
        "expose|best_fusion|concat|s0|blur@3": "predict concat s0 blur@3",
    }


def test_controls_are_never_exposed():
    steps = plan(exposed(ladder="standard", asked={"corruption": [1, 3, 5]})).steps
    named = [step.arm for step in steps.values() if "condition" in step.params and step.kind == "predict"]
    assert named and not {arm for arm in named if arm.startswith(("random/", "copies", "scratch", "prior"))}


def test_a_tuned_winner_is_exposed_as_the_network_it_is():
    made = plan(exposed(ladder="standard", runs=1))
    found = wanted(made, ANSWERS | {"winner": "tuned/concat"})
    step = made.steps[found["expose|best_fusion|tuned/concat|s0|blur@3"]]
    assert step.params["condition"] == {"name": "blur", "level": 3} and step.work.forward == 50
    assert not [role for role in step.inputs if role.startswith("x")]


def test_frozen_arms_answer_from_features_of_the_spoilt_rows_which_all_of_them_share():
    made = plan(exposed(runs=2))
    concat, alone = made.steps["predict concat s0 blur@3"], made.steps["predict frozen/a s1 blur@3"]
    assert concat.inputs["x0|test"] == alone.inputs["x0|test"] == "extract a.vector test blur@3"
    extract = made.steps["extract a.vector test blur@3"]
    assert extract.opens_test and extract.work.forward == 50 and len(extract.digests) == 1


def test_outside_items_open_no_judged_rows_and_come_with_their_own_table():
    made = plan(exposed(ood=True, asked={}, runs=1))
    extract, answer = made.steps["extract a.vector items ood:x"], made.steps["predict concat s0 ood:x"]
    assert not extract.opens_test and not answer.opens_test
    assert (extract.inputs["items"], extract.inputs["rows"]) == (Given("outside-items"), Given("outside-rows"))
    assert (answer.inputs["items"], answer.inputs["rows"]) == (Given("outside-items"), Given("outside-s0"))
    assert made.steps["evaluate"].inputs["outside|ood:x"] == Given("outside-items")


def test_outside_rows_and_conditions_never_meet_training():
    steps = plan(exposed(ladder="standard", ood=True)).steps
    spoilt = {name for name, step in steps.items() if {"condition", "extra"} & set(step.params)}
    assert {steps[name].kind for name in spoilt} == {"extract", "predict"}
    fits = [step for step in steps.values() if step.kind in ("train", "pool", "as_is", "choose")]
    assert not [step.name for step in fits if spoilt & {str(ref) for ref in step.inputs.values()}]


@pytest.mark.parametrize("given", [{}, {"ladder": "standard"}, {"crossfit": True}])
def test_exposing_changes_the_key_of_no_clean_step(given):
    before, after = keys(plan(setting(**given)), ANSWERS), keys(plan(exposed(ood=True, **given)), ANSWERS)
    assert {name for name in before if before[name] != after[name]} == {"evaluate"}
    clean = plan(setting(**given)).steps.values()
    assert not [step.name for step in clean if {"condition", "extra"} & set(step.params)]


def test_another_level_is_another_key_for_the_same_rows():
    one, other = (keys(plan(exposed(asked={"blur": [level]})), ANSWERS) for level in (1, 2))
    assert one["extract a.vector test blur@1"] != other["extract a.vector test blur@2"]


def test_a_conditions_file_is_part_of_the_keys_of_what_looks_at_pixels():
    made = exposed(ladder="standard")
    changed = replace(made, exposures=tuple(replace(one, digests=("other",)) for one in made.exposures))
    before, after = keys(plan(made), ANSWERS), keys(plan(changed), ANSWERS)
    moved = {name for name in before if before[name] != after[name]}
    assert moved == {name for name in before if name.endswith(" blur@3")} | {"evaluate"}


def test_in_each_fold_the_chosen_arm_answers():
    made = plan(exposed(crossfit=True, ood=True, runs=2))
    answers = {"winner f0": "concat", "winner f1": "gate"}
    inputs = resolved(made.steps["evaluate"], lambda choice: answers.get(choice, ANSWERS[choice.split(" ")[0]]))
    assert "expose|best_fusion|concat|f0|ood:x" in inputs and "expose|best_fusion|gate|f1|blur@3" in inputs
    assert "expose|best_fusion|concat|f1|blur@3" not in inputs


def test_what_was_not_asked_is_listed():
    def told(made: Setting) -> set[str]:
        return {what for what, _ in plan(made).not_measured}

    assert {"conditions", "items of another kind"} <= told(setting())
    assert not {"conditions", "items of another kind"} & told(exposed(ood=True))


def test_when_time_is_up_nothing_more_is_asked_but_it_is_not_said_to_be_unwanted():
    made = exposed(ood=True, ladder="standard")
    short = make_plan(made, replace(arms(made), exposed=False))
    assert wanted(short, ANSWERS) == {} and "retain tuned/concat s0" not in short.steps
    assert not {"conditions", "items of another kind"} & {what for what, _ in short.not_measured}
