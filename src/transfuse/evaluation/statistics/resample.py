"""How sure a number is: without this file a difference of two arms would be a bare point.

Runs (seeds) and items are *crossed*: every run answers the same items, so an item's luck is shared by all runs. Drawing
items anew inside each run pretends otherwise and claims gains that are not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtridf, stdtrit

from transfuse.errors import UserError
from transfuse.types import Undefined

FEW_RUNS = 5
# Sums of equal numbers differ in their last bits: what varies less than this beside their size does not vary.
LAST_BITS = 1e-13


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval (`low`, `high`) and the 90 % one that equivalence needs (`low90`, `high90`).

    `run_variance` and `item_variance` are the two parts of `se`²; `units` are items, or groups where items come in
    groups; `df` may be infinite. `bca` is the bias-corrected bootstrap interval (95 %), where there is one.
    `one_spread`: both parts rest on one estimated variance with `df` degrees of freedom.
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
    bca: tuple[float, float] | None = None
    one_spread: bool = False

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


def powers_of_two(values: np.ndarray, axis: int) -> np.ndarray:
    """The greatest power of two up to the size of all numbers along an axis, which is kept with length 1; 1 for zeros.

    Numbers divided by it fit into single precision, whatever unit they are in, and lose no digit.
    """
    largest = np.abs(values).max(axis=axis, keepdims=True)
    return np.ldexp(1.0, np.frexp(np.where(np.isfinite(largest) & (largest > 0.0), largest, 1.0))[1] - 1)


def degrees_of_freedom(run_variance: float, item_variance: float, runs: float, units: float) -> float:
    """Degrees of freedom of a variance that is the sum of what runs and what items add. Satterthwaite, 1946.

    From 2 to 4 runs, the fewer of these and those at which t² (V_run + V_item) = t²_run V_run + t²_item V_item (as
    Graybill and Wang, 1980, add bounds): a variance seen in so few runs may be near 0 by luck, and Satterthwaite's rule
    then claims too much.
    One run: those of the items.
    """
    variance = run_variance + item_variance
    from_items = max(units - 1.0, 1.0)
    if runs <= 1:
        return from_items
    inverse = (item_variance / variance) ** 2 / from_items + (run_variance / variance) ** 2 / max(runs - 1.0, 1e-9)
    if runs >= FEW_RUNS:
        return 1.0 / inverse
    reach = stdtrit(runs - 1.0, 0.975) ** 2 * run_variance + stdtrit(from_items, 0.975) ** 2 * item_variance
    cautious = float(stdtridf(0.975, np.sqrt(reach / variance)))
    return min(1.0 / inverse, cautious) if np.isfinite(cautious) and cautious > 0.0 else 1.0 / inverse


def moments(
    differences: np.ndarray, groups: Sequence[str] | np.ndarray | None = None, *, size: float = 1.0
) -> Interval | Undefined:
    """t interval of a mean over crossed runs and items: var = s_run² / k + s_item² / n. [k, N].

    s_run² is the variance of the k run means, s_item² that of the N item means over runs; degrees of freedom by
    `degrees_of_freedom`. With groups, deviations of item means are summed within groups first (cluster-robust), and the
    number of groups takes the place of n. One run: items only, so the claim is about these trained models.
    `size` is how large the numbers are that these are differences of, beside which rounding is none: 1 for shares and
    nats. `Undefined` with fewer than two items or groups, or where nothing varies at all.
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
    if variance <= (LAST_BITS * max(size, float(np.abs(values).max()))) ** 2:
        return Undefined(f"all {items} items gave the same value in all runs, so nothing tells how it would vary")
    se, df = float(np.sqrt(variance)), degrees_of_freedom(run_variance, item_variance, runs, units)
    half95, half90 = float(stdtrit(df, 0.975)) * se, float(stdtrit(df, 0.95)) * se
    what = "groups" if groups is not None else "items"
    few = "few runs, cautious" if runs < FEW_RUNS else "Satterthwaite"
    method = f"t interval over {what} only" if runs == 1 else f"t interval over crossed runs and {what}, {few}"
    limits = (mean - half95, mean + half95, mean - half90, mean + half90)
    return Interval(mean, se, df, *limits, runs, items, units, run_variance, item_variance, method)


def exact_zero(runs: int, items: int) -> Interval:
    """The interval of an arm against identical predictions: zero, by construction."""
    return Interval(0.0, 0.0, float("inf"), 0.0, 0.0, 0.0, 0.0, runs, items, items, 0.0, 0.0, "identical predictions")
