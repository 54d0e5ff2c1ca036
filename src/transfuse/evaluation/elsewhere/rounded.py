"""Probabilities as files print them; without it two decimals would be refused, and a printed zero taken for never.

A printed number stands for all that round to it. Where rows show by their sums that they were rounded, each is divided
by its sum, and a printed zero counts as half of the most that it may stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from transfuse.evaluation.tables import ROW_SUM_TOLERANCE

PRINTED = re.compile(r"[+-]?\d*\.?(\d*)")
MOST_DECIMALS = 6
# Of sums further off it must be stated that these are probabilities.
SEEN_ALONE = 0.05
EXACT = 1e-9


def half_digit(cells: Iterable[str]) -> float:
    """Half a unit of the last decimal that any cell prints; 0 for whole numbers, exponents and many decimals."""
    most = 0
    for cell in cells:
        found = PRINTED.fullmatch(cell)
        if found is None:
            return 0.0
        most = max(most, len(found[1]))
    return 0.5 * 10.0**-most if 0 < most <= MOST_DECIMALS else 0.0


def slack(columns: int, half: float) -> float:
    """How far the sum of so many rounded probabilities may be from 1, rounding of the sum itself allowed for."""
    return max(columns * half + EXACT, ROW_SUM_TOLERANCE)


def distributions(scores: np.ndarray, half: float) -> bool:
    """Whether all finite rows [k, N, C] are seen to be probabilities: nothing negative, sums of 1 but for rounding."""
    values = scores[np.isfinite(scores).all(axis=2)]
    allowed = max(min(slack(scores.shape[2], half), SEEN_ALONE), ROW_SUM_TOLERANCE)
    return bool((values >= 0).all() and (np.abs(values.sum(axis=1) - 1.0) <= allowed).all())


def shows(scores: np.ndarray, half: float) -> bool:
    """Whether rows of probabilities [k, N, C] were rounded: sums are off by what rounding explains, not by more."""
    if not half or not scores.size or not np.isfinite(scores).all():
        return False
    off = np.abs(scores.sum(axis=2) - 1.0)
    return bool((scores >= 0).all() and off.max() > EXACT and off.max() <= slack(scores.shape[2], half))


def restored(scores: np.ndarray, half: float) -> np.ndarray:
    """Rows of probabilities [k, N, C] with sums of 1 where they show that they were rounded; others as they are."""
    if not shows(scores, half):
        return scores
    raised = np.maximum(scores, half / 2)
    return raised / raised.sum(axis=2, keepdims=True)


def note(scores: np.ndarray, half: float) -> tuple[str, ...]:
    """What must be said of rounded probabilities; nothing of others."""
    if not shows(scores, half):
        return ()
    zeros = f", and {int((scores == 0).sum()):,} zeros count as {half / 2:g}" if (scores == 0).any() else ""
    return (f"its probabilities are rounded to {2 * half:g}: rows are divided by their sums{zeros}",)
