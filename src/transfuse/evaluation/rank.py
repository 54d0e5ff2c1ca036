"""Areas under ROC curves and their differences: without placements two arms' areas could not be compared as pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from transfuse.errors import UserError


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

    By mid-ranks in O((m + n) log(m + n)): the placement of a positive item is (its rank among all − its rank among the
    positive) / n. DeLong, DeLong, Clarke-Pearson, 1988; Sun, Xu, 2014. The difference of two arms on the same items is
    `first.minus(second)`.
    """
    if not (len(positive) and len(negative)):
        raise UserError(
            "an area under the ROC curve needs items of both kinds", got=f"{len(positive)}, {len(negative)}"
        )
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    ours = (ranks[:m] - rankdata(positive)) / n
    theirs = 1.0 - (ranks[m:] - rankdata(negative)) / m
    value = float(ours.mean())
    return TwoSided(value, ours - value, theirs - value)
