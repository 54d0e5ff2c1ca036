"""What is lost where one network's front runs into another's tail: without it only CKA would say what fits what.

A plain head that was fitted to the tail's own features reads what comes out of the tail once the other network's front
feeds it through one new layer, matched without labels. The stitching loss is the accuracy of the worse of both networks
alone, by plain heads of their own, less that of the stitched one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfuse.evaluation.probes.ridge import shifted_solve
from transfuse.evaluation.rows import Quantity, Subject, evidence, mean_of_items
from transfuse.types import Evidence

CITATION = "Lenc, Vedaldi, CVPR 2015; Bansal, Nakkiran, Barak, Revisiting model stitching, NeurIPS 2021"
LOSS = Quantity("stitching_loss", "share", "lower", -1.0, 1.0)
PENALTY = 1e-3
NOTE = (
    "front of the first, one layer matched without labels, tail of the second, read by a ridge head of the second's own"
    " features; against the worse of both alone, on selection rows. A description, never a decision input"
)


@dataclass(frozen=True)
class PlainHead:
    """scores = ((x − mean) / spread) W + level, W = (Xᵀ X + c n D I)⁻¹ Xᵀ (Y − level)."""

    mean: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    level: np.ndarray

    @classmethod
    def fitted(cls, block: np.ndarray, targets: np.ndarray, classes: int) -> PlainHead:
        """On these rows [n, D] and class numbers [n]; a column that does not vary is left out."""
        values = np.asarray(block, dtype=np.float64)
        mean, spread = values.mean(axis=0), values.std(axis=0)
        spread = np.where(spread > 1e-10 * float(spread.max(initial=0.0)), spread, np.inf)
        scaled, labels = (values - mean) / spread, np.eye(classes)[targets]
        level = labels.mean(axis=0)
        weights = shifted_solve(scaled.T @ scaled, PENALTY * values.size, scaled.T @ (labels - level))
        return cls(mean, spread, weights, level)

    def right(self, block: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Whether each row [n, D] is answered right. [n]."""
        scores = (np.asarray(block, dtype=np.float64) - self.mean) / self.spread @ self.weights + self.level
        return scores.argmax(axis=1) == targets


@dataclass(frozen=True)
class Stitch:
    """Right answers [n] on the same rows: of the front's network alone, of the tail's, and of the two stitched."""

    first: np.ndarray
    second: np.ndarray
    stitched: np.ndarray

    @property
    def loss(self) -> np.ndarray:
        """Item values [n] whose mean is the stitching loss."""
        worse = self.first if self.first.mean() <= self.second.mean() else self.second
        return worse.astype(np.float64) - self.stitched.astype(np.float64)


def stitching_row(
    names: tuple[str, str], found: Stitch, groups: Sequence[str] | None, about: Mapping[str, Any]
) -> Evidence:
    """The evidence of one stitch, the front's source first, with an interval over rows (or groups)."""
    accuracies = {name: float(getattr(found, name).mean()) for name in ("first", "second", "stitched")}
    measured = mean_of_items(found.loss[None], ("one stitch",), groups, NOTE).without_p()
    return evidence(LOSS, Subject(*names, "selection"), measured, {"accuracy": accuracies, **about})
