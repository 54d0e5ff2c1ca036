"""Areas under curves of ranks and their differences: without placements two arms' areas could not be compared as pairs.

Areas of one label each, mean over labels, are built on the same walk from the highest score down (`mean_of_labels`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transfuse.errors import UserError

Area = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TwoSided:
    """A measure of m positive and n negative scores, with the influence of each item. [m], [n]; both have mean 0."""

    value: float
    inside: np.ndarray
    outside: np.ndarray

    def minus(self, other: TwoSided) -> TwoSided:
        """The difference of two measures of the same items."""
        return TwoSided(self.value - other.value, self.inside - other.inside, self.outside - other.outside)

    @property
    def se(self) -> float:
        """√(s₊² / m + s₋² / n) of the influences: DeLong's standard error where these are placements."""
        parts = (each.var(ddof=1) / len(each) if len(each) > 1 else 0.0 for each in (self.inside, self.outside))
        return float(np.sqrt(sum(parts)))


def auroc(positive: np.ndarray, negative: np.ndarray) -> TwoSided:
    """P(positive score > negative score), ties half; influences are DeLong's placements. [m], [n].

    The placement of a positive item is the share of negative ones below it, ties half; O((m + n) log(m + n)). DeLong,
    DeLong, Clarke-Pearson, 1988; Sun, Xu, 2014. The difference of two arms on the same items is `first.minus(second)`.
    """
    if not (len(positive) and len(negative)):
        raise UserError(
            "an area under the ROC curve needs items of both kinds", got=f"{len(positive)}, {len(negative)}"
        )
    ours, theirs = _below(negative, positive), 1.0 - _below(positive, negative)
    value = float(ours.mean())
    return TwoSided(value, ours - value, theirs - value)


def _below(scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The share of scores [n] below each place [m], those equal to it counted half."""
    ordered = np.sort(scores)
    return (np.searchsorted(ordered, places, "left") + np.searchsorted(ordered, places, "right")) / (2 * len(scores))


def mean_of_labels(area: Area, targets: np.ndarray, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """An area of each label, mean over labels that have one, under each row of item weights.

    `area(hits, misses)` gets the weights of items with and without the label down to each distinct score, from high to
    low [R, D], and returns the area times its whole and the whole [R]; a label whose whole is 0 is left out. NaN where
    all are. [N, C], [N, C], [R, N] -> [R].
    """
    total, known = np.zeros(len(weights)), np.zeros(len(weights))
    for truth, scores in zip(targets.T, probs.T, strict=True):
        order = np.argsort(-scores, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        drawn = weights[:, order]
        hits = np.cumsum(drawn * truth[order], axis=1)[:, ends]
        part, whole = area(hits, np.cumsum(drawn, axis=1)[:, ends] - hits)
        total += np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
        known += whole > 0
    with np.errstate(invalid="ignore"):
        return total / known
