from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from transfuse.errors import UserError
from transfuse.evaluation.statistics.resample import Interval, exact_zero, moments
from transfuse.types import Undefined


def drawn(runs: int, count: int, seed: int = 0, mean: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return mean + rng.normal(size=count) + 0.5 * rng.normal(size=(runs, 1)) + 0.3 * rng.normal(size=(runs, count))


def interval(found: Interval | Undefined) -> Interval:
    assert isinstance(found, Interval)
    return found


def test_one_run_is_the_t_interval_over_items() -> None:
    values = drawn(1, 40)
    found = interval(moments(values))
    for level, low, high in ((0.95, found.low, found.high), (0.90, found.low90, found.high90)):
        expected = stats.t.interval(level, 39, loc=values.mean(), scale=stats.sem(values[0]))
        np.testing.assert_allclose((low, high), expected)
    assert found.p() == pytest.approx(stats.ttest_1samp(values[0], 0.0).pvalue)
    assert "only" in found.method


def test_variance_and_degrees_of_freedom_by_hand() -> None:
    values = drawn(6, 30)
    found = interval(moments(values))
    from_runs, from_items = values.mean(axis=1).var(ddof=1) / 6, values.mean(axis=0).var(ddof=1) / 30
    assert found.se**2 == pytest.approx(from_runs + from_items)
    assert found.df == pytest.approx((from_runs + from_items) ** 2 / (from_runs**2 / 5 + from_items**2 / 29))
    assert (found.run_variance, found.item_variance) == (pytest.approx(from_runs), pytest.approx(from_items))


@pytest.mark.parametrize("runs", [2, 3, 4])
def test_few_runs_add_the_squares_of_both_half_widths(runs: int) -> None:
    values = drawn(runs, 30)
    found = interval(moments(values))
    from_runs = stats.t.ppf(0.975, runs - 1) ** 2 * values.mean(axis=1).var(ddof=1) / runs
    from_items = stats.t.ppf(0.975, 29) ** 2 * values.mean(axis=0).var(ddof=1) / 30
    satterthwaite = found.se**4 / (found.run_variance**2 / (runs - 1) + found.item_variance**2 / 29)
    wide = max((from_runs + from_items) ** 0.5, stats.t.ppf(0.975, satterthwaite) * found.se)
    assert (found.high - found.low) / 2 == pytest.approx(wide)
    assert found.df <= satterthwaite and "cautious" in found.method


def test_runs_without_items_of_their_own_leave_the_t_test_over_runs() -> None:
    offsets = np.array([0.2, -0.1, 0.4, 0.3])
    found = interval(moments(np.repeat(offsets[:, None], 20, axis=1)))
    assert found.p() == pytest.approx(stats.ttest_1samp(offsets, 0.0).pvalue)


def test_equal_runs_are_one_run() -> None:
    values = drawn(1, 40)
    one, three = interval(moments(values)), interval(moments(np.repeat(values, 3, axis=0)))
    assert (three.low, three.high, three.df) == pytest.approx((one.low, one.high, one.df))


def test_one_item_a_group_is_no_grouping_and_copies_within_groups_are_one() -> None:
    values = drawn(3, 40)
    plain = interval(moments(values))
    each = interval(moments(values, [f"g{row}" for row in range(40)]))
    assert (each.low, each.high) == pytest.approx((plain.low, plain.high))
    doubled = interval(moments(np.repeat(values, 2, axis=1), np.repeat(np.arange(40), 2)))
    assert (doubled.low, doubled.high, doubled.units) == (pytest.approx(plain.low), pytest.approx(plain.high), 40)
    assert interval(moments(np.repeat(values, 2, axis=1))).item_variance < plain.item_variance


def test_what_cannot_be_known_is_undefined() -> None:
    for values, groups in (
        (np.ones((1, 1)), None),
        (np.ones((3, 20)), None),
        (np.full((2, 9), 0.1), None),
        (drawn(1, 5), ["a"] * 5),
    ):
        found = moments(values, groups)
        assert isinstance(found, Undefined)
        assert found.reason
    with pytest.raises(UserError):
        moments(np.array([[1.0, np.nan]]))
    with pytest.raises(UserError):
        moments(np.ones(5))


@given(st.integers(0, 500), st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_mirrored_differences_mirror_and_order_is_irrelevant(seed: int, runs: int) -> None:
    values = drawn(runs, 25, seed)
    found, mirror = interval(moments(values)), interval(moments(-values))
    assert (mirror.low, mirror.high, mirror.p()) == pytest.approx((-found.high, -found.low, found.p()))
    rng = np.random.default_rng(seed)
    turned = interval(moments(values[rng.permutation(runs)][:, rng.permutation(25)]))
    assert (turned.low, turned.high) == pytest.approx((found.low, found.high))


@given(st.integers(0, 500))
@settings(deadline=None, max_examples=25)
def test_doubling_the_items_shrinks_the_item_error_by_root_two(seed: int) -> None:
    values = drawn(1, 200, seed)
    once, twice = interval(moments(values)), interval(moments(np.tile(values, (1, 2))))
    assert twice.se == pytest.approx(once.se / 2**0.5, rel=0.01)


@given(st.integers(0, 500))
@settings(deadline=None, max_examples=15)
def test_pairing_narrows_where_arms_correlate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=200)
    first, second = (hard + 0.3 * rng.normal(size=(1, 200)) for _ in range(2))
    paired = interval(moments(first - second))
    shuffled = interval(moments(first - second[:, rng.permutation(200)]))
    assert paired.se < 0.6 * shuffled.se


@given(st.floats(-0.5, 0.5), st.floats(0.0, 0.5))
@settings(deadline=None, max_examples=30)
def test_p_values_agree_with_the_intervals(mean: float, margin: float) -> None:
    found = interval(moments(drawn(2, 60, mean=mean)))
    outside = found.low > margin or found.high < -margin
    assert outside == (found.p(margin) < 0.05)
    inside = -margin < found.low90 and found.high90 < margin
    assert inside == (found.p_within(margin) < 0.05)


def test_identical_predictions_have_an_exact_zero() -> None:
    zero = exact_zero(3, 10)
    assert (zero.p(), zero.p(0.1), zero.p_within(0.1), zero.p_within(0.0)) == (1.0, 1.0, 0.0, 1.0)
