"""Keys name what decides a value and nothing else; a planted key by name is caught."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plan.example_plan import plan, setting
from transfuse.plan.graph import Given, Plan, Select, Step, resolved, step_key

KeyFunction = Callable[..., str]


def keys(made: Plan, chosen: dict[str, str], key: KeyFunction = step_key) -> dict[str, str]:
    """The keys of all steps, with the choices made beforehand."""
    found: dict[str, str] = {}

    def visit(name: str) -> str:
        if name not in found:
            step = made.steps[name]
            found[name] = key(step, resolved(step, lambda choice: chosen.get(choice, "frozen/a")), visit)
        return found[name]

    for name in made.steps:
        visit(name)
    return found


CHOSEN = {
    "best_frozen": "frozen/a",
    "best_fusion": "concat",
    "winner": "concat",
    "controlled": "concat",
    "copied": "concat with frozen/a",
    "economical": "frozen/a",
    "evaluate": "concat",
}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after.get(name)}


def test_another_margin_changes_judging_only():
    moved = changed(keys(plan(setting()), CHOSEN), keys(plan(setting(margin=0.3)), CHOSEN))
    assert moved == {"economical", "evaluate"}


def test_another_seed_count_changes_no_fit():
    before, after = keys(plan(setting()), CHOSEN), keys(plan(setting(runs=3)), CHOSEN)
    assert not [name for name in changed(before, after) if name.startswith(("fit", "extract", "predict"))]


def test_more_workers_change_no_key():
    assert not changed(keys(plan(setting()), CHOSEN), keys(plan(setting(run={"workers": 4})), CHOSEN))


def test_more_threads_change_every_number():
    moved = changed(keys(plan(setting()), CHOSEN), keys(plan(setting(run={"threads": 2})), CHOSEN))
    assert {name for name in moved if name.startswith(("fit", "extract"))} == {
        name for name in plan(setting()).steps if name.startswith(("fit", "extract"))
    }


def followers_change(key: KeyFunction) -> None:
    """A changed source file under the same name changes all that follows from it, also behind a choice."""
    made = plan(setting(ladder="full"))
    other = plan(setting(ladder="full", keys={"a": "card-a-changed", "b": "card-b"}))
    moved = changed(keys(made, CHOSEN, key), keys(other, CHOSEN, key))
    expected = {
        "fit tuned/a s0",
        "fit copies@concat with frozen/a s0",
        "fit scratch@concat s1",
        "fit random/a@tuned/concat s0",
        "fit without/b@concat s0",
        "match compute_matched@frozen/a",
        "fit compute_matched@frozen/a s0",
        "fit parameter_matched@tuned/a s1",
        "predict concat s0",
        "evaluate",
    }
    assert expected <= moved
    assert "fit frozen/b s0" not in moved


def test_a_changed_file_under_the_same_name_changes_all_that_follows():
    followers_change(step_key)


def test_mutant_choice_keyed_by_name_is_caught():
    def by_name(step: Step, inputs, key_of) -> str:
        return step_key(
            step,
            {
                role: Given(ref if isinstance(ref, str) else ref.key.split("-changed")[0])
                for role, ref in inputs.items()
            },
            key_of,
        )

    with pytest.raises(AssertionError):
        followers_change(by_name)


def test_source_names_never_enter_a_fit():
    made = setting()
    step = plan(made).steps["fit frozen/a s0"]
    assert "frozen/a" not in str(step.params)
    assert not [value for value in step.params["reads"] if "a" in value]


def test_a_select_brings_the_chosen_option_only():
    step = Step("s", "choose", {}, {"x": Given("1")}, (Select("c", {"a": {"r": "A"}, "b": {"r": "B"}}),))
    assert resolved(step, lambda choice: "b") == {"x": Given("1"), "r": "B"}
    assert resolved(step, lambda choice: None) == {"x": Given("1")}


def test_judged_rows_are_opened_by_predictions_and_features_of_judged_rows_only():
    opening = {name for name, step in plan(setting(ladder="standard")).steps.items() if step.opens_test}
    assert all(
        name.startswith(("predict", "evaluate", "nearest")) or name.endswith(("test", "test unpooled"))
        for name in opening
    )
    assert not [name for name in opening if name.startswith("fit")]


def test_no_choice_ever_reads_a_prediction_of_judged_rows():
    made = plan(setting(ladder="standard"))
    for step in made.steps.values():
        if step.kind == "choose":
            refs = [
                *step.inputs.values(),
                *(ref for select in step.selects for roles in select.options.values() for ref in roles.values()),
            ]
            assert not [ref for ref in refs if str(ref).startswith("predict")]


def test_cross_fitting_chooses_in_every_fold_and_once_more_for_delivery():
    made = plan(setting(crossfit=True))
    assert {"winner f0", "winner f1", "winner final"} <= set(made.steps)


def test_judge_all_opens_every_candidate():
    roles = plan(setting(judge={"test": "all"})).steps["evaluate"].inputs
    assert {"predict|gate|gate|s0", "predict|concat|concat|s0"} <= set(roles)
    closed = plan(setting()).steps["evaluate"].inputs
    assert not [role for role in closed if role.startswith("predict|gate")]
