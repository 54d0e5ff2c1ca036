"""How sure a number is: without this file a difference of two arms would be a bare point.

Runs (seeds) and items are *crossed*: every run answers the same items, so an item's luck is shared by all runs. Drawing
items anew inside each run pretends otherwise and claims gains that are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from transfuse import seeds
from transfuse.errors import UserError
from transfuse.types import Undefined

RESAMPLES = 2000
BLOCK = 256
SMALLEST_BOOTSTRAP = 5


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval (`low`, `high`) and the 90 % one that equivalence needs (`low90`, `high90`).

    `run_variance` and `item_variance` are the two parts of `se`²; `units` are items, or groups where items come in
    groups; `df` may be infinite.
    """

    mean: float
    se: float
    df: float
    low: float
    high: float
    low90: float
    high90: float
    runs: int
    items: int
    units: int
    run_variance: float
    item_variance: float
    method: str

    def p(self, distance: float = 0.0) -> float:
        """Two-sided p of a true value beyond `distance` on the mean's side; 1 where the mean is within. t with `df`.

        p < 0.05 exactly where the 95 % t interval lies beyond `distance`.
        """
        beyond = abs(self.mean) - distance
        if self.se == 0.0:
            return 0.0 if beyond > 0.0 else 1.0
        return float(min(1.0, 2.0 * stdtr(self.df, -beyond / self.se)))

    def p_within(self, distance: float) -> float:
        """p of two one-sided tests that the true value lies within ± `distance`. Schuirmann, 1987.

        p < 0.05 exactly where the 90 % t interval lies within ± `distance`.
        """
        room = distance - abs(self.mean)
        if self.se == 0.0:
            return 0.0 if room > 0.0 else 1.0
        return float(stdtr(self.df, -room / self.se))


def group_codes(groups: Sequence[str] | np.ndarray) -> np.ndarray:
    """Groups as numbers from 0, in any order of first use. [N]."""
    return np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)


def moments(differences: np.ndarray, groups: Sequence[str] | np.ndarray | None = None) -> Interval | Undefined:
    """t interval of a mean over crossed runs and items: var = s_run² / k + s_item² / n. [k, N].

    s_run² is the variance of the k run means, s_item² that of the N item means over runs; degrees of freedom by
    Satterthwaite (1946). With groups, deviations of item means are summed within groups first (cluster-robust), and the
    number of groups takes the place of n. One run: items only, so the claim is about these trained models.
    `Undefined` with fewer than two items or groups, or where nothing varies at all.
    Raises: `UserError` for values that are not finite or not [k, N].
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise UserError(
            "an interval needs finite numbers", expected="[runs, items]", got=f"shape {list(values.shape)} or NaN"
        )
    runs, items = values.shape
    if runs == 0 or items < 2:
        return Undefined(f"an interval needs at least two items, got {items}")
    item_means = values.mean(axis=0)
    mean = float(item_means.mean())
    deviations = item_means - mean
    if groups is not None:
        deviations = np.bincount(group_codes(groups), weights=deviations)
    units = len(deviations)
    if units < 2:
        return Undefined("an interval needs at least two groups, got one")
    item_variance = float(deviations @ deviations) * units / (units - 1) / items**2
    run_variance = float(values.mean(axis=1).var(ddof=1)) / runs if runs > 1 else 0.0
    variance = item_variance + run_variance
    # Sums of equal numbers differ in their last bits; a variance of that size is none.
    if variance <= (1e-13 * max(1.0, float(np.abs(values).max()))) ** 2:
        return Undefined(f"all {items} items gave the same value in all runs, so nothing tells how it would vary")
    inverse_df = (item_variance / variance) ** 2 / (units - 1)
    if runs > 1:
        inverse_df += (run_variance / variance) ** 2 / (runs - 1)
    se, df = float(np.sqrt(variance)), 1.0 / inverse_df
    half95, half90 = float(stdtrit(df, 0.975)) * se, float(stdtrit(df, 0.95)) * se
    what = "groups" if groups is not None else "items"
    method = f"t interval over {what} only" if runs == 1 else f"t interval over crossed runs and {what}, Satterthwaite"
    limits = (mean - half95, mean + half95, mean - half90, mean + half90)
    return Interval(mean, se, df, *limits, runs, items, units, run_variance, item_variance, method)


def exact_zero(runs: int, items: int) -> Interval:
    """The interval of an arm against identical predictions: zero, by construction."""
    return Interval(0.0, 0.0, float("inf"), 0.0, 0.0, 0.0, 0.0, runs, items, items, 0.0, 0.0, "identical predictions")


def draw_counts(rng: np.random.Generator, draws: int, units: int) -> np.ndarray:
    """How often each unit occurs in each resample of `units` draws with replacement (multinomial). [draws, units]."""
    picks = rng.integers(0, units, size=(draws, units)) + np.arange(draws)[:, None] * units
    return np.bincount(picks.ravel(), minlength=draws * units).reshape(draws, units).astype(np.float64)


def crossed_bootstrap(
    columns: np.ndarray,
    finish: Callable[[np.ndarray], np.ndarray],
    against: np.ndarray | None = None,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> Interval | Undefined:
    """Bootstrap interval of a metric, or of the difference to `against`, that is no mean over items. [k, N, q] each.

    Each resample draws runs, and draws items (or whole groups) ONCE for all runs and both arms, as a matrix of counts;
    the statistic is the mean over drawn runs of `finish(counts @ columns)`. Draws are keyed by the sizes alone, so all
    arms see the same. Percentiles (Efron, 1979) of replicates shifted to have the point as their mean: calibration
    error and worst class are biased on resamples, so plain percentiles of a level may miss its own point, and BCa
    shrinks to a sliver. `Undefined` for 2 to 4 runs, where the bootstrap over runs is too narrow, for fewer than two
    units, and where the metric does not exist or never varies.
    """
    runs, items, _ = columns.shape
    if against is not None and against.shape[:2] != columns.shape[:2]:
        raise UserError("two arms to compare must share runs and items", got=f"{columns.shape} and {against.shape}")
    if 1 < runs < SMALLEST_BOOTSTRAP:
        return Undefined(f"a bootstrap over runs needs {SMALLEST_BOOTSTRAP} runs or one, got {runs}")
    sides = [columns] if against is None else [columns, against]
    sums = [by_unit(side, groups) for side in sides]
    units = len(sums[0])
    if units < 2:
        return Undefined(f"a bootstrap needs at least two items or groups, got {units}")
    rng = seeds.stream("evaluate", "bootstrap", runs, units)

    def statistic(totals: list[np.ndarray]) -> np.ndarray:
        found = [finish(total.reshape(-1, runs, total.shape[-1] // runs)) for total in totals]
        return found[0] if against is None else found[0] - found[1]

    points = statistic([total.sum(axis=0, keepdims=True) for total in sums])[0]
    drawn = np.concatenate(
        [
            statistic([counts @ total for total in sums])
            for counts in (
                draw_counts(rng, min(BLOCK, resamples - start), units) for start in range(0, resamples, BLOCK)
            )
        ]
    )
    replicates = (drawn * draw_counts(rng, resamples, runs)).sum(axis=1) / runs
    if not np.isfinite(points).all() or not np.isfinite(replicates).all():
        return Undefined("the metric does not exist on every resample")
    if np.ptp(replicates) == 0.0:
        return Undefined("the metric is the same on every resample, so nothing tells how it would vary")
    return _from_replicates(replicates, points, items, units)


def by_unit(columns: np.ndarray, groups: Sequence[str] | np.ndarray | None) -> np.ndarray:
    """Columns of all runs side by side, summed within groups where there are any. [k, N, q] -> [units, k·q]."""
    runs, items, width = columns.shape
    flat = columns.transpose(1, 0, 2).reshape(items, runs * width)
    if groups is None:
        return flat
    codes = group_codes(groups)
    found = np.zeros((int(codes.max()) + 1, flat.shape[1]))
    np.add.at(found, codes, flat)
    return found


def _from_replicates(replicates: np.ndarray, points: np.ndarray, items: int, units: int) -> Interval:
    """Percentiles of the replicates after a shift that puts their mean on the point. [R], [k]."""
    point, runs = float(points.mean()), len(points)
    variance = float(replicates.var(ddof=1))
    run_variance = min(float(points.var(ddof=1)) / runs, variance) if runs > 1 else 0.0
    limits = np.quantile(replicates - replicates.mean() + point, [0.025, 0.975, 0.05, 0.95])
    what = "items" if units == items else "groups"
    method = f"bootstrap over {what} only" if runs == 1 else f"bootstrap, runs and {what} crossed"
    return Interval(
        mean=point,
        se=variance**0.5,
        df=float("inf"),
        low=float(limits[0]),
        high=float(limits[1]),
        low90=float(limits[2]),
        high90=float(limits[3]),
        runs=runs,
        items=items,
        units=units,
        run_variance=run_variance,
        item_variance=variance - run_variance,
        method=f"{method}, centred percentiles",
    )
