"""What a recipe says of its task: defaults by kind, and refusals by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plan.example_plan import arms, plan, setting
from transfuse.errors import UserError
from transfuse.kinds import KINDS
from transfuse.plan.graph import step_key
from transfuse.plan.recipe import parse, validated, written

BARE = {"sources": {"a": "demo:a", "b": "demo:b"}, "data": "x"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_brings_its_metrics_and_the_lock_file_says_so(kind: str) -> None:
    recipe = validated(BARE | {"task": {"kind": kind}}, where="test")
    assert (recipe.task.metric, tuple(recipe.task.also)) == (KINDS[kind].metric, KINDS[kind].also)
    assert parse(written(recipe), where="lock").task == recipe.task


def test_a_pointer_is_taken_as_it_is() -> None:
    recipe = validated(BARE | {"task": {"metric": "own:cost", "also": ["a.b:c?direction=lower"]}}, where="test")
    assert recipe.metrics == ("own:cost", "a.b:c?direction=lower")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"task": {"kind": "regresion"}}, "task.kind: there is no task of kind 'regresion'; did you mean 'regression'"),
        ({"task": {"kind": "regression", "also": ["ece"]}}, "the metric 'ece' does not hold for a regression task"),
        ({"task": {"metric": "rmse"}}, "the metric 'rmse' does not hold for a multiclass task"),
        ({"task": {"kind": "multilabel", "metric": "macro_f2"}}, "did you mean 'macro_f1'"),
        ({"task": {"kind": "regression"}, "judge": {"guards": {"accuracy": 0.1}}}, "does not hold for a regression"),
        ({"task": {"kind": "multilabel"}, "judge": {"conditions": {"pgd": [0.01]}}}, "attacks (pgd)"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(more: dict, said: str) -> None:
    with pytest.raises(UserError) as caught:
        validated(BARE | more, where="test")
    assert said in caught.value.message()


def test_pools_of_classes_are_refused_for_numbers_and_allowed_for_labels() -> None:
    candidates = {"pooled": {"fuse": "outputs/stacking", "of": ["a", "b"]}}
    assert "pooled" in arms(setting(candidates=candidates, task={"kind": "multilabel"})).arms()
    with pytest.raises(UserError, match=r"outputs/stacking does not hold for a regression task"):
        arms(setting(candidates=candidates, task={"kind": "regression"}))


def test_no_source_answers_for_numbers_as_it_is() -> None:
    found = arms(setting(task={"kind": "regression"}))
    assert not [name for name in found.arms() if name.startswith("as_is/")]
    assert ("as_is/a", "a head that was made for classes gives no numbers") in found.not_measured


def test_only_another_metric_than_the_usual_one_changes_what_choices_rest_on() -> None:
    plain, other = (plan(setting(task={"kind": "regression", "metric": name})) for name in ("squared_error", "rmse"))
    for name, step in plain.steps.items():
        if step.kind in ("extract", "fit", "train", "predict"):
            assert other.steps[name].params == step.params
    assert "items" not in plain.steps["best_single"].inputs
    assert other.steps["best_single"].params["metric"] == "rmse"
    assert "items" in other.steps["best_single"].inputs


def test_the_kind_stands_in_the_networks_of_other_tasks_only() -> None:
    for kind in KINDS:
        params = plan(setting(task={"kind": kind})).steps["fit frozen/a s0"].params
        assert params.get("task", "multiclass") == kind
        assert ("task" in params) == (kind != "multiclass")


def test_the_file_of_a_users_metric_is_part_of_what_judges_and_chooses_by_it() -> None:
    made = setting(task={"metric": "own:cost", "also": []})
    keys = []
    for digest in ("one", "two"):
        steps = plan(replace(made, metric_digests={"own:cost": digest})).steps
        keys.append(
            [step_key(steps[name], steps[name].inputs, str) for name in ("evaluate", "best_single", "count concat")]
        )
    (evaluated, chosen, counted), others = keys
    assert (evaluated != others[0], chosen != others[1], counted == others[2]) == (True, True, True)
