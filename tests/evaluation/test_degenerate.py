"""Degenerate input: the exact value, or `undefined` with its reason; never a plausible wrong number, never a crash."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from evaluation.judged import case, changed
from transfuse.errors import UserError
from transfuse.evaluation.elsewhere.door import evaluate
from transfuse.evaluation.measure import compare, level
from transfuse.evaluation.metric import metric
from transfuse.evaluation.statistics.resample import Interval
from transfuse.evaluation.tables import Table
from transfuse.evaluation.verdict import Judgement, judge, record
from transfuse.types import Evidence, ItemTable, Predictions, Undefined

METRICS = ("log_loss", "accuracy", "brier", "ece", "ece_debiased", "worst_class", "macro_f1")


def table(name: str, targets: np.ndarray, probs: np.ndarray, groups: tuple[str, ...] | None = None) -> Table:
    known = ItemTable(tuple(f"i{row}" for row in range(len(targets))), targets, groups)
    return Table(name, known, probs, tuple(f"s{run}" for run in range(len(probs))))


def sure(targets: np.ndarray, classes: int, answers: np.ndarray | None = None, runs: int = 1) -> np.ndarray:
    return np.repeat(np.eye(classes)[targets if answers is None else answers][None], runs, axis=0)


def sound(found: Judgement) -> dict[str, Evidence]:
    """All rows by id; every value finite or undefined with a reason, and the record plain JSON."""
    json.dumps(record(found, found.arms, {}, {}), allow_nan=False)
    for row in found.evidence:
        assert isinstance(row.value, Undefined) and row.value.reason or np.isfinite(row.value)  # pyright: ignore
    assert found.verdict.recommendation.arm in found.case.tables
    return {row.id: row for row in found.evidence}


def test_perfect_predictions_are_exact_and_have_no_interval() -> None:
    targets = np.arange(40) % 4
    exact = {"log_loss": 0.0, "brier": 0.0, "ece": 0.0, "ece_debiased": 0.0}
    for runs in (1, 5):
        perfect = table("perfect", targets, sure(targets, 4, runs=runs))
        for name in METRICS:
            found = level(perfect, metric(name))
            assert found.value == pytest.approx(exact.get(name, 1.0), abs=1e-12)
            assert isinstance(found.interval, Undefined) and "no interval" in found.method


def test_two_perfect_arms_are_equivalent_and_the_cheaper_ships() -> None:
    targets = np.arange(60) % 4
    found = evaluate({"a": sure(targets, 4)[0], "b": sure(targets, 4)[0]}, targets)
    rows = sound(found)
    assert rows["accuracy:a-vs-b:test:clean"].value == 0.0
    assert {claim.status for claim in found.verdict.claims} <= {"equivalent", "not shown"}


def test_all_wrong_and_sure_costs_the_floor_and_no_more() -> None:
    targets = np.zeros(30, dtype=int)
    wrong = table("wrong", targets, sure(targets, 2, np.ones(30, dtype=int)))
    assert level(wrong, metric("log_loss")).value == pytest.approx(-np.log(1e-15))
    assert level(wrong, metric("brier")).value == pytest.approx(2.0)
    assert level(wrong, metric("accuracy")).value == level(wrong, metric("macro_f1")).value == 0.0


def test_constant_predictions_tie_to_the_first_class_and_are_judged() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 90)
    flat = np.full((90, 3), 1 / 3)
    found = evaluate({"flat": flat, "known": rng.dirichlet(np.ones(3), 90) * 0.4 + 0.6 * np.eye(3)[targets]}, targets)
    rows = sound(found)
    assert rows["accuracy:flat:test:clean"].value == pytest.approx((targets == 0).mean())
    assert rows["log_loss:flat:test:clean"].value == pytest.approx(np.log(3))
    assert rows["auroc:flat:test:clean"].value == 0.5
    assert found.verdict.recommendation.arm == "known"


def test_ties_are_broken_by_the_lower_class_in_every_arm_alike() -> None:
    targets = np.array([0, 1, 0, 1])
    tied = np.full((1, 4, 2), 0.5)
    assert level(table("tied", targets, tied), metric("accuracy")).value == 0.5


def test_ten_rows_and_one_seed() -> None:
    rng = np.random.default_rng(1)
    targets = np.arange(10) % 2
    rows = sound(evaluate({"a": rng.dirichlet([1, 1], 10), "b": rng.dirichlet([1, 1], 10)}, targets))
    pair = next(row for row in rows.values() if row.quantity == "log_loss" and row.versus)
    assert pair.n == 10 and pair.seeds == 1 and "items only" in pair.method


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_rows_than_any_interval_needs(count: int) -> None:
    rng = np.random.default_rng(2)
    found = evaluate({"a": rng.dirichlet([1, 1], count), "b": rng.dirichlet([1, 1], count)}, np.arange(count) % 2)
    rows = sound(found)
    if count == 1:
        assert all(row.low is None for row in rows.values())
        assert any("at least two items" in row.method for row in rows.values())


def test_a_class_that_is_absent_is_left_out_of_class_metrics() -> None:
    rng = np.random.default_rng(3)
    targets = np.arange(60) % 3
    probs = rng.dirichlet(np.ones(5), 60)
    probs[:, :3] += np.eye(3)[targets]
    probs /= probs.sum(axis=1, keepdims=True)
    rows = sound(evaluate({"a": probs, "b": rng.dirichlet(np.ones(5), 60)}, targets))
    right = probs.argmax(axis=1) == targets
    assert rows["worst_class:a:test:clean"].value == pytest.approx(min(right[targets == c].mean() for c in range(3)))
    assert rows["auroc:a:test:clean"].provenance["classes"] == 3


def test_one_class_only() -> None:
    rng = np.random.default_rng(4)
    found = evaluate({"a": rng.dirichlet([5, 1], 30), "b": rng.dirichlet([2, 1], 30)}, np.zeros(30, dtype=int))
    rows = sound(found)
    assert not [row for row in rows.values() if row.quantity == "auroc"]


def test_a_class_that_is_absent_in_some_folds() -> None:
    """Three rows of a rare class over five folds, in repeats: every fold mean exists, and so does the interval."""
    one = case(runs=2, count=60)
    rare = np.where(np.arange(60) < 3, 3, np.arange(60) % 3)
    known = replace(one.items, targets=rare)
    folds = np.stack([np.arange(60) % 5, (np.arange(60) // 2) % 5])
    tables = {
        name: replace(each, items=known, runs=("r0", "r1"), folds=folds, logits=None)
        for name, each in one.tables.items()
    }
    rows = sound(judge(changed(one, items=known, tables=tables, protocol="crossfit")))
    pair = rows["log_loss:concat-vs-frozen/lite0:test:clean"]
    assert "Nadeau" in pair.method and pair.low is not None


def test_a_thousand_classes() -> None:
    rng = np.random.default_rng(5)
    targets = rng.permutation(np.arange(101) * 9)
    scores = {name: rng.normal(size=(101, 1000)) for name in ("a", "b")}
    scores["a"][np.arange(101), targets] += 4.0
    found = evaluate(scores, targets, scale="logit")
    rows = sound(found)
    assert found.verdict.recommendation.arm == "a"
    assert rows["auroc:a:test:clean"].provenance["classes"] == 100
    assert not [row for row in rows.values() if row.quantity == "class_difference"]


def test_groups_of_one_are_items_and_one_group_is_undefined() -> None:
    rng = np.random.default_rng(6)
    targets = rng.integers(0, 2, 50)
    first, second = rng.dirichlet([1, 1], (1, 50)), rng.dirichlet([1, 1], (1, 50))
    alone, single, whole = (
        compare(table("a", targets, first, groups), table("b", targets, second, groups), metric("log_loss")).interval
        for groups in (None, tuple(f"g{row}" for row in range(50)), ("all",) * 50)
    )
    assert isinstance(alone, Interval) and isinstance(single, Interval)
    assert (single.low, single.high) == pytest.approx((alone.low, alone.high))
    assert isinstance(whole, Undefined) and "two groups" in whole.reason
    worst = compare(
        table("a", targets, first, ("all",) * 50), table("b", targets, second, ("all",) * 50), metric("worst_class")
    )
    assert isinstance(worst.interval, Undefined) and isinstance(worst.value, float)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused_by_item(bad: float) -> None:
    scores = np.zeros((20, 2))
    scores[7, 1] = bad
    with pytest.raises(UserError, match=r"NaN or infinity in 1 row\b(.|\n)*7"):
        evaluate({"a": scores, "b": np.zeros((20, 2))}, np.arange(20) % 2, scale="logit")


def test_losses_that_are_no_numbers_are_refused_before_they_are_averaged() -> None:
    with pytest.raises(UserError, match="finite"):
        evaluate({"a": np.array([0.1, np.nan, 0.3]), "b": np.zeros(3)}, direction="lower")
    one = case()
    with pytest.raises(UserError, match="finite"):
        changed(one, selection={**one.selection, "concat": float("nan")})


def test_a_metric_without_a_value_stays_undefined_with_its_reason() -> None:
    """A metric of no item at all: NaN in the shelf, undefined with a reason in the estimate."""
    for name in METRICS:
        chosen = metric(name)
        empty = chosen.finish(np.zeros(chosen.columns(np.array([0]), np.array([[0.5, 0.5]])).shape[1]))
        assert np.isnan(empty)


def test_one_seed_against_many_and_seeds_that_repeat() -> None:
    rng = np.random.default_rng(7)
    targets = rng.integers(0, 2, 80)
    one, many = rng.dirichlet([1, 1], (1, 80)), rng.dirichlet([1, 1], (5, 80))
    found = compare(table("a", targets, one), table("b", targets, many), metric("accuracy"))
    assert "meets every run" in found.method and isinstance(found.interval, Interval) and found.interval.runs == 5
    copies = level(table("a", targets, np.repeat(one, 3, axis=0)), metric("accuracy"))
    assert "no variance over runs" in copies.method


def test_probabilities_that_are_none_are_refused() -> None:
    with pytest.raises(UserError, match="scale of predictions 'a' is missing"):
        evaluate({"a": np.full((10, 2), 0.7), "b": np.full((10, 2), 0.5)}, np.arange(10) % 2)
    with pytest.raises(UserError, match="no probabilities"):
        evaluate({"a": np.full((10, 2), 0.7), "b": np.full((10, 2), 0.5)}, np.arange(10) % 2, scale="probability")
    assert Predictions("a", ("s0",), np.zeros((1, 2, 2)), "logit").split == "test"
