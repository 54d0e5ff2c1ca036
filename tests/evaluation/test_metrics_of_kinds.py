"""Metrics of labels and of numbers against scikit-learn, on the rows and on resamples of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from transfuse import registry
from transfuse.evaluation.measure import compare, level
from transfuse.evaluation.metric import metric
from transfuse.evaluation.statistics.resample import Interval
from transfuse.evaluation.tables import Table
from transfuse.kinds import KINDS
from transfuse.types import ItemTable, Undefined

SHELF = registry.shelf("evaluation/metrics")


def yes(probs: np.ndarray) -> np.ndarray:
    return (probs >= 0.5).astype(int)


def slow_ece(truth: np.ndarray, probs: np.ndarray) -> float:
    gaps = []
    for labels, chances in zip(truth.T, probs.T, strict=True):
        inside = [(chances > n / 15) & (chances <= (n + 1) / 15) for n in range(15)]
        gaps.append(sum(abs(chances[rows].sum() - labels[rows].sum()) for rows in inside) / len(labels))
    return float(np.mean(gaps))


ORACLES = {
    "multilabel": {
        "binary_log_loss": lambda y, p: np.mean([oracle.log_loss(a, b) for a, b in zip(y.T, p.T, strict=True)]),
        "binary_brier": lambda y, p: np.mean([oracle.brier_score_loss(a, b) for a, b in zip(y.T, p.T, strict=True)]),
        "subset_accuracy": lambda y, p: oracle.accuracy_score(y, yes(p)),
        "hamming_accuracy": lambda y, p: 1.0 - oracle.hamming_loss(y, yes(p)),
        "macro_f1": lambda y, p: oracle.f1_score(y, yes(p), average="macro"),
        "macro_average_precision": lambda y, p: oracle.average_precision_score(y, p, average="macro"),
        "macro_auroc": lambda y, p: oracle.roc_auc_score(y, p, average="macro"),
        "label_ece": slow_ece,
    },
    "regression": {
        "squared_error": oracle.mean_squared_error,
        "rmse": lambda y, p: oracle.mean_squared_error(y, p) ** 0.5,
        "absolute_error": oracle.mean_absolute_error,
        "r2": oracle.r2_score,
    },
}
EVERY = [(kind, name) for kind, named in ORACLES.items() for name in named]


def drawn(kind: str, seed: int = 0, count: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Labels of unequal frequency with rounded, hence tied, chances; or numbers far from 0."""
    rng = np.random.default_rng(seed)
    if kind == "regression":
        targets = 50.0 + rng.normal(size=(count, 3)) * [1.0, 2.0, 5.0]
        return targets, targets + rng.normal(size=(count, 3))
    targets = (rng.random((count, 4)) < [0.2, 0.4, 0.5, 0.8]).astype(np.int64)
    return targets, np.round(np.clip(0.3 * targets + 0.7 * rng.random((count, 4)), 0.01, 0.99), 2)


def table(kind: str, seed: int, runs: int = 1, groups: int | None = None) -> Table:
    targets = drawn(kind)[0]
    named = tuple(f"g{row % groups}" for row in range(len(targets))) if groups else None
    items = ItemTable(tuple(f"i{row}" for row in range(len(targets))), targets, named)
    noise = np.random.default_rng(seed).normal(size=(runs, *targets.shape))
    probs = targets + noise if kind == "regression" else 1 / (1 + np.exp(-(2.0 * targets - 1.0 + noise)))
    return Table(f"arm{seed}", items, probs, tuple(f"s{run}" for run in range(runs)))


def test_every_metric_of_these_kinds_has_an_oracle_and_the_defaults_are_there() -> None:
    for kind, named in ORACLES.items():
        assert set(named) == {name for name, entry in SHELF.items() if kind in registry.kinds_of(entry)}
        assert {KINDS[kind].metric, *KINDS[kind].also} <= set(named)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_agrees_with_scikit_learn_on_the_rows_and_on_resamples(kind: str, name: str) -> None:
    targets, probs = drawn(kind)
    known = metric(name)
    assert known.values(targets, probs[None])[0] == pytest.approx(ORACLES[kind][name](targets, probs), abs=1e-12)
    picks = np.random.default_rng(1).integers(0, len(targets), (3, len(targets)))
    counts = np.stack([np.bincount(row, minlength=len(targets)) for row in picks]).astype(float)
    if known.weighted is not None:
        fast = known.weighted(targets, probs, counts)
    else:
        fast = known.finish(counts @ known.columns(targets, probs))
    slow = [ORACLES[kind][name](targets[row], probs[row]) for row in picks]
    np.testing.assert_allclose(fast, slow, rtol=1e-9)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_perfect_answers_reach_the_best_value_and_worse_ones_do_not(kind: str, name: str) -> None:
    targets, probs = drawn(kind)
    known = metric(name)
    perfect = known.values(targets, targets[None].astype(float))[0]
    assert perfect == pytest.approx(0.0 if known.direction == "lower" else 1.0, abs=1e-12)
    assert known.values(targets, probs[None])[0] != pytest.approx(perfect, abs=1e-3)


def test_a_label_that_never_occurs_is_left_out_and_none_at_all_is_undefined() -> None:
    targets, probs = drawn("multilabel")
    for name in ("macro_average_precision", "macro_auroc"):
        without = metric(name).values(targets[:, :3], probs[None, :, :3])[0]
        silent = np.concatenate([targets[:, :3], np.zeros((80, 1), int)], axis=1)
        assert metric(name).values(silent, probs[None])[0] == pytest.approx(without)
        assert np.isnan(metric(name).values(np.zeros_like(targets), probs[None])[0])


def test_a_target_that_never_varies_has_no_share_of_variance() -> None:
    flat = np.full((80, 1), 0.1)
    found = level(Table("a", ItemTable(tuple(map(str, range(80))), flat), flat[None] + 0.5, ("s0",)), metric("r2"))
    assert isinstance(found.value, Undefined)


@pytest.mark.parametrize("name", ["macro_average_precision", "macro_auroc"])
def test_ranks_have_intervals_that_mirror_and_do_not_depend_on_the_order_of_rows(name: str) -> None:
    first, second = (table("multilabel", seed, runs=5) for seed in (1, 2))
    forth, back = compare(first, second, metric(name)), compare(second, first, metric(name))
    assert isinstance(forth.interval, Interval)
    assert isinstance(back.interval, Interval)
    assert forth.interval.low == pytest.approx(-back.interval.high)
    order = np.random.default_rng(3).permutation(80)
    items = ItemTable(tuple(first.items.ids[row] for row in order), np.asarray(first.items.targets)[order])
    turned = Table("turned", items, first.probs[:, order], first.runs)
    again = compare(turned, second, metric(name)).interval
    assert isinstance(again, Interval)
    assert (again.low, again.high) == pytest.approx((forth.interval.low, forth.interval.high))


def test_groups_are_drawn_whole_by_ranks_too() -> None:
    plain, grouped = (level(table("multilabel", 1, groups=groups), metric("macro_auroc")) for groups in (None, 8))
    assert isinstance(plain.interval, Interval)
    assert isinstance(grouped.interval, Interval)
    assert (plain.interval.units, grouped.interval.units) == (80, 8)


def test_two_runs_have_values_of_ranks_without_an_interval() -> None:
    found = level(table("multilabel", 1, runs=2), metric("macro_auroc"))
    assert isinstance(found.interval, Undefined)
    assert set(found.per_run) == {"s0", "s1"}
