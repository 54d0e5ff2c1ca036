from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from evaluation.judged import items, judged
from transfuse.errors import UserError
from transfuse.evaluation.measure import compare, level, prepare
from transfuse.evaluation.metric import metric
from transfuse.evaluation.statistics.bootstrap import Product, bca, counted, crossed_bootstrap, picks, resample
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.types import ItemTable, Undefined

BOOTSTRAPPED = ("ece", "worst_class", "macro_f1", "ece_debiased")


def interval(found: Interval | Undefined) -> Interval:
    assert isinstance(found, Interval)
    return found


def columns(runs: int = 5, count: int = 150, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    targets, probs = rng.integers(0, 3, count), rng.dirichlet(np.ones(3), (runs, count))
    return metric("worst_class").run_columns(targets, probs)


def test_counts_are_multinomial() -> None:
    counts = np.concatenate([counted(rows, 10) for rows in picks(10, 4000)])
    assert (counts.sum(axis=1) == 10).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.08)
    np.testing.assert_allclose(counts.var(axis=0), 0.9, atol=0.1)


def test_bootstrap_of_a_mean_agrees_with_moments() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=300)
    values = 0.2 + shared + 0.02 * rng.normal(size=(8, 1)) + 0.3 * rng.normal(size=(8, 300))
    both = np.stack([values, np.ones_like(values)], axis=2)
    found = interval(crossed_bootstrap(both, metric("score").finish))
    expected = interval(moments(values))
    assert found.mean == pytest.approx(expected.mean)
    assert found.se == pytest.approx(expected.se, rel=0.12)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.2 * expected.se)


def test_bootstrap_is_the_naive_loop() -> None:
    """One matrix product gives what drawing rows one resample at a time gives, in distribution."""
    rng, one = np.random.default_rng(5), columns(1, 150)
    finish = metric("worst_class").finish
    naive = np.array([float(finish(one[0][rng.integers(0, 150, 150)].sum(axis=0))) for _ in range(2000)])
    found = interval(crossed_bootstrap(one, finish))
    assert found.se == pytest.approx(naive.std(), rel=0.1)


@pytest.mark.parametrize("runs", [1, 5])
def test_bootstrap_mirrors_repeats_and_holds_its_point(runs: int) -> None:
    first, second, finish = columns(runs, seed=1), columns(runs, seed=2), metric("worst_class").finish
    found = interval(crossed_bootstrap(first, finish, second))
    assert found == crossed_bootstrap(first, finish, second)
    mirror = interval(crossed_bootstrap(second, finish, first))
    assert (mirror.low, mirror.high) == pytest.approx((-found.high, -found.low))
    level = interval(crossed_bootstrap(first, finish))
    assert level.low < level.mean < level.high
    assert (level.low < level.low90) and (level.high90 < level.high)


def calibrated(count: int = 300) -> np.ndarray:
    """Columns of five runs that are calibrated by construction: resamples of their error are biased upwards."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), count)
    targets = (probs.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return metric("ece").run_columns(targets, np.repeat(probs[None], 5, axis=0))


def test_bootstrap_of_calibration_error_lies_around_its_point() -> None:
    found = interval(crossed_bootstrap(calibrated(), metric("ece").finish))
    assert 0.3 < (found.mean - found.low) / (found.high - found.low) < 0.7


def test_bootstrap_draws_runs_too() -> None:
    offsets = np.random.default_rng(0).normal(size=(10, 1)) + 0.01 * np.random.default_rng(1).normal(size=(10, 50))
    found = interval(crossed_bootstrap(np.stack([offsets, np.ones_like(offsets)], axis=2), metric("score").finish))
    assert found.se == pytest.approx(0.9**0.5 * interval(moments(offsets)).se, rel=0.1)


def test_bootstrap_draws_whole_groups() -> None:
    one = columns(1, 60)
    copies, groups = np.repeat(one, 4, axis=1), np.repeat(np.arange(60), 4)
    finish = metric("worst_class").finish
    single, grouped = (
        interval(crossed_bootstrap(one, finish)),
        interval(crossed_bootstrap(copies, finish, groups=groups)),
    )
    assert (grouped.low, grouped.high, grouped.units) == (pytest.approx(single.low), pytest.approx(single.high), 60)


@pytest.mark.parametrize("runs", [2, 3, 4])
def test_bootstrap_refuses_few_runs(runs: int) -> None:
    found = crossed_bootstrap(columns(runs), metric("worst_class").finish)
    assert isinstance(found, Undefined)
    assert f"got {runs}" in found.reason


def test_bootstrap_says_why_there_is_none() -> None:
    finish = metric("worst_class").finish
    assert isinstance(crossed_bootstrap(columns(1, 1), finish), Undefined)
    assert isinstance(crossed_bootstrap(np.ones((5, 20, 2)), metric("score").finish), Undefined)
    assert isinstance(crossed_bootstrap(np.zeros((5, 20, 2)), metric("score").finish), Undefined)
    with pytest.raises(UserError, match="share runs"):
        crossed_bootstrap(columns(5), finish, columns(6))


@pytest.mark.parametrize("name", BOOTSTRAPPED)
def test_every_replicate_is_that_of_a_naive_loop_over_the_same_rows(name: str) -> None:
    """Rows drawn with replacement and scored one resample at a time: the same numbers within 1e-5."""
    rng, chosen = np.random.default_rng(0), metric(name)
    targets, probs = rng.integers(0, 4, 300), rng.dirichlet(np.ones(4), 300)
    found = resample([([chosen.columns(targets, probs)], chosen.finish)], 300, resamples=300)[0]
    rows = np.concatenate(list(picks(300, 300)))
    naive = [chosen.values(targets[drawn], probs[None, drawn])[0] for drawn in rows]
    np.testing.assert_allclose(found.drawn[:, 0], naive, atol=1e-5)


@pytest.mark.parametrize("name", ["ece", "macro_f1"])
def test_bca_is_scipys(name: str) -> None:
    rng, chosen = np.random.default_rng(1), metric(name)
    columns = chosen.columns(rng.integers(0, 3, 80), rng.dirichlet(np.ones(3), 80))
    drawn = resample([([columns], chosen.finish)], 80, resamples=1500)[0]
    assert drawn.left_out is not None

    def statistic(rows: np.ndarray, axis: int) -> np.ndarray:
        assert axis == -1
        return chosen.finish(columns[rows.astype(int)].sum(axis=-2))

    expected = stats.bootstrap(
        (np.arange(80),),
        statistic,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=drawn.drawn[:, 0]),
        method="BCa",
        batch=1,
    ).confidence_interval
    found = bca(drawn.drawn[:, 0], drawn.points, drawn.left_out)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_bca_of_crossed_runs_follows_a_skew_of_the_items() -> None:
    rng = np.random.default_rng(2)
    values = rng.exponential(size=120) ** 2 + 0.01 * rng.normal(size=(6, 120))
    found = interval(crossed_bootstrap(np.stack([values, np.ones_like(values)], axis=2), metric("score").finish))
    assert found.bca is not None
    assert found.bca[0] > found.low and found.bca[1] > found.high


def test_bca_is_absent_where_the_correction_is_infinite() -> None:
    assert bca(np.linspace(1, 2, 50), np.array([3.0]), np.random.default_rng(0).normal(size=(1, 20))) is None
    assert bca(np.linspace(1, 2, 50), np.array([1.5]), np.ones((1, 20))) is None


def test_equal_and_sparse_columns_are_multiplied_as_they_should() -> None:
    rng = np.random.default_rng(3)
    dense, sparse = rng.normal(size=(200, 3)), np.zeros((200, 4))
    sparse[[5, 80, 199], [0, 2, 3]] = 2.0, -1.0, 0.5
    product = Product()
    places = [product.add(each) for each in (dense, sparse, dense[:, ::-1])]
    product.close(200)
    counts = counted(next(picks(200, 10)), 200)
    sums = product.of(counts)
    for each, (where, sizes) in zip((dense, sparse, dense[:, ::-1]), places, strict=True):
        np.testing.assert_allclose(sums[:, where] * sizes, counts @ each, atol=1e-4)
    assert sums.shape[1] == 3 + 4


def test_a_thousand_classes_are_resampled_as_few_are() -> None:
    rng, chosen = np.random.default_rng(4), metric("macro_f1")
    targets = rng.integers(0, 1000, 400)
    probs = rng.dirichlet(np.full(1000, 0.1), 400)
    probs[np.arange(400), targets] += rng.random(400)
    found = resample([([chosen.columns(targets, probs)], chosen.finish)], 400, resamples=20)[0]
    rows = next(picks(400, 20))
    naive = [chosen.values(targets[drawn], probs[None, drawn])[0] for drawn in rows]
    np.testing.assert_allclose(found.drawn[:, 0], naive, atol=1e-5)


def test_drawing_all_at_once_changes_no_interval() -> None:
    known = items(120)
    tables = [judged(name, known, skill, 5) for name, skill in (("concat", 2.0), ("gate", 2.4))]
    prepare(tables, [metric(name) for name in BOOTSTRAPPED])
    assert set(tables[0].memo) == set(BOOTSTRAPPED)
    for name in BOOTSTRAPPED:
        alone = [replace(table) for table in tables]
        for found, other in (
            (compare(*tables, metric(name)), compare(*alone, metric(name))),
            (level(tables[0], metric(name)), level(alone[0], metric(name))),
        ):
            one, two = interval(found.interval), interval(other.interval)
            assert one.bca is not None and two.bca is not None
            assert (one.low, one.high, *one.bca) == pytest.approx((two.low, two.high, *two.bca), abs=1e-6)


def test_what_needs_no_resamples_draws_none() -> None:
    tables = [judged("concat", items(60), 2.0, 3), judged("concat", items(60), 2.0, 1)]
    prepare(tables, [metric("accuracy"), metric("ece")])
    assert [set(table.memo) for table in tables] == [set(), {"ece"}]


def test_one_run_meets_every_run_of_the_other_and_missing_runs_are_left_out() -> None:
    known = items(100)
    one, six = judged("concat", known, 2.0, 1), judged("gate", known, 2.3, 6)
    assert interval(compare(one, six, metric("ece")).interval).runs == 6
    five = replace(six, probs=six.probs[1:], runs=six.runs[1:], temperatures=None, logits=None)
    found = compare(six, five, metric("worst_class"))
    assert isinstance(found.interval, Interval) and found.interval.method == "identical predictions"
    few = replace(one, probs=six.probs[:2], runs=("s0", "other"), temperatures=None, logits=None)
    assert interval(compare(few, six, metric("ece")).interval).runs == 1


@pytest.mark.parametrize("groups", [None, 12])
def test_the_order_of_rows_changes_no_bootstrap(groups: int | None) -> None:
    known = items(150, groups)
    order = np.random.default_rng(0).permutation(150)
    named = None if known.groups is None else tuple(known.groups[row] for row in order)
    turned = ItemTable(tuple(known.ids[row] for row in order), known.targets[order], named)
    tables = [judged(name, known, skill, 5) for name, skill in (("concat", 2.0), ("gate", 2.4))]
    others = [replace(table, items=turned, probs=table.probs[:, order], logits=None) for table in tables]
    for name in ("ece", "worst_class"):
        expected = interval(compare(*tables, metric(name)).interval)
        for mixed in ((others[0], others[1]), (tables[0], others[1])):
            found = interval(compare(*mixed, metric(name)).interval)
            assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
