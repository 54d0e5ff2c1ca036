from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from transfuse.errors import UserError
from transfuse.evaluation.power import detectable_effect, holm, mcnemar, needed_k, needed_n
from transfuse.evaluation.resample import Interval, moments
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
    effect = detectable_effect(2.0, df, power)
    assert stats.nct.sf(stats.t.ppf(0.975, df), df, effect / 2.0) == pytest.approx(power, abs=1e-4)


def test_detectable_effect_of_many_items_is_the_normal_one() -> None:
    normal = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert detectable_effect(1.0, float("inf")) == pytest.approx(normal)
    assert detectable_effect(1.0, 9e4) == pytest.approx(normal, rel=1e-3)
    for wrong in ((-1.0, 5.0, 0.8), (1.0, 0.0, 0.8), (1.0, 5.0, 1.0), (1.0, float("nan"), 0.8)):
        with pytest.raises(UserError):
            detectable_effect(*wrong)


@pytest.mark.parametrize("runs", [1, 5])
def test_needed_n_is_the_smallest_that_settles(runs: int) -> None:
    found = interval(runs, 200, run_sd=0.01)
    gap = 0.5 * detectable_effect(found.se, found.df)
    count = needed_n(found, gap)
    assert isinstance(count, int)
    for items, settled in ((count, True), (int(0.98 * count), False)):
        from_items, df = found.item_variance * 200 / items, items - 1
        se = (from_items + found.run_variance) ** 0.5
        if runs > 1:
            df = se**4 / (from_items**2 / (items - 1) + found.run_variance**2 / (runs - 1))
        assert (detectable_effect(se, df) <= gap * 1.0001) == settled


def test_needed_k_counts_runs_and_grows_as_the_gap_shrinks() -> None:
    found = interval(5, 4000, run_sd=0.5)
    detectable = detectable_effect(found.se, found.df)
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
