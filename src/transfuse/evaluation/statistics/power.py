"""What the data could have shown, and what would settle the rest: without it "not shown" would be read as "no gain"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import bdtr, gammaln, nctdtrinc, ndtri, stdtrit

from transfuse.errors import UserError
from transfuse.evaluation.statistics.resample import Interval, degrees_of_freedom
from transfuse.types import Undefined

LARGEST_FACTOR = 1000.0
NORMAL_FROM_DF = 1e5
ALPHA = 0.05


def detectable_effect(se: float, df: float, power: float = 0.8, alpha: float = ALPHA) -> float:
    """The true effect that a two-sided t test with this standard error finds with this power, at the level `alpha`.

    se · δ, where δ is the noncentrality at which P(T > t_{1 − alpha / 2, df}) = power. In the unit of `se`.
    """
    if not 0.0 < power < 1.0 or se < 0.0 or not df > 0.0 or not 0.0 < alpha < 1.0:
        raise UserError(
            "a detectable effect needs se ≥ 0, df > 0, and a power and a level between 0 and 1",
            got=f"{se}, {df}, {power}, {alpha}",
        )
    if df > NORMAL_FROM_DF:
        return float(se * (ndtri(1.0 - alpha / 2) + ndtri(power)))
    return float(se * nctdtrinc(df, 1.0 - power, stdtrit(df, 1.0 - alpha / 2)))


def unbiased_factor(df: float) -> float:
    """c₄ = √(2 / df) Γ((df + 1) / 2) / Γ(df / 2): the mean of an estimated standard deviation, in units of the true.

    0.798 with one degree of freedom, 0.886 with two, 0.940 with four; 1 in the limit. Holtzman, 1950.
    """
    if df > NORMAL_FROM_DF:
        return 1.0
    return float(np.sqrt(2.0 / df) * np.exp(gammaln((df + 1.0) / 2.0) - gammaln(df / 2.0)))


def shown_from(
    interval: Interval, power: float = 0.8, more_runs: float = 1.0, more_items: float = 1.0, alpha: float = ALPHA
) -> float:
    """The true effect that trials like this one (or with so many times the runs and items) show with this power.

    `detectable_effect` of the spread of runs and the spread of items, each divided by c₄ of its degrees of freedom:
    trials that estimate a small spread by luck would print too small an effect, and with two runs the mean of what they
    print would be shown in 69 % only, not in 80 %. So it is 80 %, and at most 86 % where both spreads count. Where one
    variance stands for both (folds), more items shrink all of it.
    """
    if interval.run_variance + interval.item_variance == 0.0:
        return 0.0
    if interval.one_spread:
        variance = interval.run_variance / more_runs + interval.item_variance
        se = (variance / more_items) ** 0.5 / unbiased_factor(interval.df)
        return detectable_effect(se, (interval.df + 1.0) * more_runs - 1.0, power, alpha)
    from_items = interval.item_variance / unbiased_factor(interval.units - 1.0) ** 2 / more_items
    from_runs, runs = 0.0, 1.0
    if interval.runs > 1:
        from_runs = interval.run_variance / unbiased_factor(interval.runs - 1.0) ** 2 / more_runs
        runs = interval.runs * more_runs
    df = degrees_of_freedom(from_runs, from_items, runs, interval.units * more_items)
    return detectable_effect((from_runs + from_items) ** 0.5, df, power, alpha)


def needed_n(interval: Interval, gap: float, power: float = 0.8, alpha: float = ALPHA) -> int | Undefined:
    """How many items (at the same runs, and groups of the same size) would bring the detectable effect down to `gap`.

    Undefined where the runs' own spread forbids it, or beyond a thousand times as many.
    """
    factor = _smallest_factor(lambda more: shown_from(interval, power, more_items=more, alpha=alpha), gap)
    if factor is None:
        return Undefined("more items alone would not settle it")
    return int(np.ceil(interval.items * factor))


def needed_k(interval: Interval, gap: float, power: float = 0.8, alpha: float = ALPHA) -> int | Undefined:
    """How many runs (at the same items) would bring the detectable effect down to `gap`.

    Undefined with one run, whose spread is unknown, where the items' own spread forbids it, or beyond a thousand times
    as many.
    """
    if interval.runs < 2:
        return Undefined("one run tells nothing about the spread over runs")
    factor = _smallest_factor(lambda more: shown_from(interval, power, more_runs=more, alpha=alpha), gap)
    if factor is None:
        return Undefined("more runs alone would not settle it")
    return int(np.ceil(interval.runs * factor))


def _smallest_factor(detectable: Callable[[float], float], gap: float) -> float | None:
    """The smallest factor ≥ 1 with `detectable(factor) <= gap`, by bisection on its logarithm; None beyond 1,000."""
    if detectable(1.0) <= gap:
        return 1.0
    if detectable(LARGEST_FACTOR) > gap:
        return None
    low, high = 0.0, float(np.log(LARGEST_FACTOR))
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if detectable(float(np.exp(middle))) <= gap else (middle, high)
    return float(np.exp(high))


def mcnemar(b: int, c: int) -> tuple[float, float]:
    """Exact and mid-p two-sided p of McNemar's test on b and c discordant items.

    exact = min(1, 2 P(X ≤ min(b, c))) with X binomial(b + c, 1/2); mid-p = exact − P(X = min(b, c)), and 1 − P(X = b) /
    2 where b = c; no discordant item gives 1. Fagerland, Lydersen, Laake, 2013.
    """
    if b < 0 or c < 0:
        raise UserError("discordant counts must not be negative", got=f"{b} and {c}")
    total, fewer = b + c, min(b, c)
    if total == 0:
        return 1.0, 1.0
    up_to = float(bdtr(fewer, total, 0.5))
    at = up_to - (float(bdtr(fewer - 1, total, 0.5)) if fewer else 0.0)
    exact = min(1.0, 2.0 * up_to)
    return exact, (1.0 - at / 2.0 if b == c else exact - at)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given; never below raw, monotone, at most 1. Holm, 1979."""
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise UserError("p-values must lie between 0 and 1", got=str(list(values)))
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]
