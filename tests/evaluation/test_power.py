from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from transfuse.errors import UserError
from transfuse.evaluation.statistics.folds import corrected
from transfuse.evaluation.statistics.power import (
    detectable_effect,
    holm,
    mcnemar,
    needed_k,
    needed_n,
    shown_from,
    unbiased_factor,
)
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.types import Undefined


def interval(runs: int, count: int, run_sd: float = 0.05, seed: int = 0) -> Interval:
    rng = np.random.default_rng(seed)
    found = moments(rng.normal(size=count) + run_sd * rng.normal(size=(runs, 1)) + 0.2 * rng.normal(size=(runs, count)))
    assert isinstance(found, Interval)
    return found


@pytest.mark.parametrize(
    ("b", "c", "exact", "midp"),
    [
        (70, 73, 0.8672, 0.8027),
        (10, 25, 0.0167, 0.0113),
        (5, 15, 0.0414, 0.0266),
        (1, 8, 0.0391, 0.0215),
        (6, 16, 0.0525, 0.0347),
    ],
)
def test_mcnemar_golden_values(b: int, c: int, exact: float, midp: float) -> None:
    assert mcnemar(b, c) == (pytest.approx(exact, abs=5e-5), pytest.approx(midp, abs=5e-5))


@given(st.integers(0, 200), st.integers(0, 200))
@settings(deadline=None, max_examples=50)
def test_mcnemar_is_the_sign_test(b: int, c: int) -> None:
    exact, midp = mcnemar(b, c)
    if b + c == 0:
        assert (exact, midp) == (1.0, 1.0)
        return
    assert exact == pytest.approx(stats.binomtest(b, b + c).pvalue)
    at = stats.binom.pmf(min(b, c), b + c, 0.5)
    assert midp == pytest.approx(1 - at / 2 if b == c else exact - at)
    assert mcnemar(c, b) == (exact, midp)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(UserError):
        mcnemar(-1, 3)


@pytest.mark.parametrize(("runs", "in_sd"), [(3, 3.25), (5, 1.68), (8, 1.15), (10, 1.00), (20, 0.66)])
def test_detectable_effect_golden_values(runs: int, in_sd: float) -> None:
    assert detectable_effect(1 / runs**0.5, runs - 1) == pytest.approx(in_sd, abs=0.02)


@given(st.floats(1.5, 300.0), st.floats(0.5, 0.95))
@settings(deadline=None, max_examples=30)
def test_detectable_effect_has_the_power_it_says(df: float, power: float) -> None:
    for alpha in (0.05, 0.05 / 28):
        effect = detectable_effect(2.0, df, power, alpha)
        assert stats.nct.sf(stats.t.ppf(1 - alpha / 2, df), df, effect / 2.0) == pytest.approx(power, abs=1e-4)


def test_detectable_effect_of_many_items_is_the_normal_one() -> None:
    normal = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert detectable_effect(1.0, float("inf")) == pytest.approx(normal)
    assert detectable_effect(1.0, 9e4) == pytest.approx(normal, rel=1e-3)
    strict = stats.norm.ppf(0.9975) + stats.norm.ppf(0.8)
    assert detectable_effect(1.0, float("inf"), alpha=0.005) == pytest.approx(strict)
    for wrong in ((-1.0, 5.0), (1.0, 0.0), (1.0, 5.0, 1.0), (1.0, float("nan")), (1.0, 5.0, 0.8, 0.0)):
        with pytest.raises(UserError):
            detectable_effect(*wrong)


@pytest.mark.parametrize(
    ("count", "c4"), [(2, 0.7979), (3, 0.8862), (4, 0.9213), (5, 0.9400), (10, 0.9727), (25, 0.9896)]
)
def test_the_table_of_c4(count: int, c4: float) -> None:
    """The factors of quality control charts, for so many values."""
    assert unbiased_factor(count - 1) == pytest.approx(c4, abs=5e-5)
    assert unbiased_factor(1e6) == 1.0


def test_an_estimated_spread_divided_by_c4_is_right_on_average() -> None:
    spreads = stats.chi(3).ppf((np.arange(20_000) + 0.5) / 20_000) / 3**0.5
    assert spreads.mean() == pytest.approx(unbiased_factor(3), abs=1e-4)


@pytest.mark.parametrize("runs", [2, 3, 4, 5, 10])
@pytest.mark.parametrize("from_runs", [0.01, 0.1, 0.5, 0.99])
def test_what_trials_print_on_average_is_shown_by_80_percent_of_them(runs: int, from_runs: float) -> None:
    """Both spreads known, of one trial in many: the mean of what is printed, and how often an interval excludes 0."""
    spread_dealt, of_items = trials(runs, from_runs)
    printed = np.mean([shown_from(each) for each in spread_dealt])
    found = np.mean([stats.norm.sf((each.mean - each.low) - printed) for each in spread_dealt])
    assert 0.795 <= found <= 0.87
    assert of_items == pytest.approx(1.0 - from_runs)


def trials(runs: int, from_runs: float) -> tuple[list[Interval], float]:
    """Intervals of trials whose mean has a variance of 1, `from_runs` of it from runs; 400 equally likely ones."""
    found, of_items = [], 1.0 - from_runs
    for seen in stats.chi2(runs - 1).ppf((np.arange(400) + 0.5) / 400) / (runs - 1):
        seen_runs = from_runs * float(seen)
        items = two_values(5000) * (of_items * 5000) ** 0.5
        moved = two_values(runs) if runs % 2 == 0 else np.concatenate([[0.0], two_values(runs - 1)])
        moved = moved / moved.std(ddof=1) * (seen_runs * runs) ** 0.5
        each = moments(items * (4999 / 5000) ** 0.5 + moved[:, None])
        assert isinstance(each, Interval)
        assert each.run_variance == pytest.approx(seen_runs)
        found.append(each)
    return found, found[0].item_variance


def two_values(count: int) -> np.ndarray:
    return np.tile([1.0, -1.0], count // 2)


def test_one_run_rests_on_its_items_and_folds_on_one_spread() -> None:
    one = interval(1, 40)
    assert shown_from(one) == pytest.approx(detectable_effect(one.se / unbiased_factor(39), 39))
    rng = np.random.default_rng(4)
    folds = np.stack([rng.permutation(np.arange(60) % 5) for _ in range(2)])
    found = corrected(rng.normal(size=(2, 60)), folds)
    assert isinstance(found, Interval)
    assert shown_from(found) == pytest.approx(detectable_effect(found.se / unbiased_factor(9), 9))
    four = shown_from(found, more_items=4.0)
    assert four == pytest.approx(shown_from(found) / 2.0)


@pytest.mark.parametrize("runs", [1, 5])
def test_needed_n_is_the_smallest_that_settles(runs: int) -> None:
    found = interval(runs, 200, run_sd=0.01)
    gap = 0.5 * shown_from(found)
    count = needed_n(found, gap)
    assert isinstance(count, int)
    of_items = found.item_variance / unbiased_factor(199) ** 2
    of_runs = found.run_variance / unbiased_factor(runs - 1) ** 2 if runs > 1 else 0.0
    for items, settled in ((count, True), (int(0.98 * count), False)):
        from_items, df = of_items * 200 / items, items - 1
        se = (from_items + of_runs) ** 0.5
        if runs > 1:
            df = se**4 / (from_items**2 / (items - 1) + of_runs**2 / (runs - 1))
        assert (detectable_effect(se, df) <= gap * 1.0001) == settled


def test_needed_k_counts_runs_and_grows_as_the_gap_shrinks() -> None:
    found = interval(5, 4000, run_sd=0.5)
    detectable = shown_from(found)
    near, far = needed_k(found, 0.7 * detectable), needed_k(found, 0.4 * detectable)
    assert isinstance(near, int) and isinstance(far, int)
    assert 5 < near < far
    assert needed_k(found, 2 * detectable) == 5


def test_what_cannot_settle_is_undefined() -> None:
    noisy_runs, noisy_items = interval(3, 4000, run_sd=1.0), interval(5, 100, run_sd=0.001)
    assert isinstance(needed_n(noisy_runs, 0.01 * noisy_runs.se), Undefined)
    assert isinstance(needed_k(noisy_items, 0.1 * noisy_items.se), Undefined)
    assert isinstance(needed_k(interval(1, 100), 0.01), Undefined)
    assert isinstance(needed_n(noisy_runs, 0.0), Undefined)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.03]) == [0.03]
    with pytest.raises(UserError):
        holm([1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_holm_is_monotone_bounded_and_grows_with_the_family(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(raw <= found <= 1.0 for raw, found in zip(p, adjusted, strict=True))
    ordered = [found for _, found in sorted(zip(p, adjusted, strict=True))]
    assert ordered == sorted(ordered)
    assert all(more >= less for more, less in zip(holm([*p, 0.5]), adjusted, strict=False))
