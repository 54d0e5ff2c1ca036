"""What folds of the same rows can tell: without it repeats of cross-fitting would count as new data.

Models of different folds are trained on mostly the same rows, so their differences vary together. The variance of their
mean is not s² / J but, after Nadeau and Bengio, (1 / J + n_test / n_train) s², here with n_test / n_train = 1 / (K − 1)
for K folds. No estimate is right for every learner (Bengio, Grandvalet, 2004); `docs/gates.md` says how this one fares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from transfuse.errors import UserError
from transfuse.evaluation.statistics.resample import LAST_BITS, Interval
from transfuse.types import Undefined


@dataclass(frozen=True)
class FoldMeans:
    """Mean differences of the J = repeats · K folds, n_test / n_train, and the `size` that `moments` speaks of."""

    values: np.ndarray
    ratio: float
    size: float = 1.0

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def se(self) -> float:
        """√((1 / J + n_test / n_train) s²)."""
        return float(np.sqrt((1.0 / self.count + self.ratio) * self.values.var(ddof=1)))


def fold_means(differences: np.ndarray, folds: np.ndarray, size: float = 1.0) -> FoldMeans | Undefined:
    """Mean of each fold of each repeat. Differences [k, N], and the fold of each row in each repeat [k, N].

    `Undefined` where a repeat has fewer than two folds.
    """
    if differences.shape != folds.shape or differences.ndim != 2:
        raise UserError("differences and folds must match", got=f"{differences.shape} and {folds.shape}")
    found, counts = [], []
    for values, numbers in zip(differences, folds, strict=True):
        present, codes = np.unique(numbers, return_inverse=True)
        counts.append(len(present))
        found.append(np.bincount(codes, weights=values) / np.bincount(codes))
    if min(counts) < 2:
        return Undefined("a corrected variance needs at least two folds")
    return FoldMeans(np.concatenate(found), 1.0 / (float(np.mean(counts)) - 1.0), size)


def corrected(differences: np.ndarray, folds: np.ndarray, size: float = 1.0) -> Interval | Undefined:
    """t interval of the mean with the corrected variance and J − 1 degrees of freedom. [k, N], [k, N].

    `run_variance` is the part that more repeats would take away, s² / J. `Undefined` where all folds gave the same.
    Nadeau, Bengio, Machine Learning, 2003.
    """
    found = fold_means(differences, folds, size)
    if isinstance(found, Undefined):
        return found
    runs, items = differences.shape
    mean, se, df = float(differences.mean()), found.se, found.count - 1
    if se <= LAST_BITS * max(size, float(np.abs(differences).max())):
        return Undefined("all folds gave the same value, so nothing tells how it would vary")
    half95, half90 = float(stdtrit(df, 0.975)) * se, float(stdtrit(df, 0.95)) * se
    limits = (mean - half95, mean + half95, mean - half90, mean + half90)
    from_repeats = float(found.values.var(ddof=1)) / found.count
    method = f"corrected t interval over {found.count} folds of {runs} repeats (Nadeau, Bengio, 2003)"
    parts = (from_repeats, se**2 - from_repeats)
    return Interval(mean, se, float(df), *limits, runs, items, items, *parts, method, one_spread=True)


@dataclass(frozen=True)
class Rope:
    """Posterior probabilities that the true difference lies below −margin, within ± margin, and above it."""

    below: float
    within: float
    above: float


def rope(found: FoldMeans, margin: float) -> Rope | Undefined:
    """The correlated Bayesian t: difference ~ mean + √((1 / J + ρ / (1 − ρ)) s²) · t with J − 1 degrees of freedom.

    With ρ = n_test / (n_test + n_train), ρ / (1 − ρ) = n_test / n_train: the posterior under a flat prior has the scale
    of the corrected t test. Corani, Benavoli, Machine Learning, 2015. `Undefined` where all folds gave the same.
    """
    se, mean = found.se, float(found.values.mean())
    if se <= LAST_BITS * max(found.size, abs(mean)):
        return Undefined("all folds gave the same value, so there is no posterior")
    if margin < 0.0:
        raise UserError("a margin must not be negative", got=str(margin))
    df = found.count - 1
    below = float(stdtr(df, (-margin - mean) / se))
    above = float(stdtr(df, (mean - margin) / se))
    return Rope(below, max(0.0, 1.0 - below - above), above)
