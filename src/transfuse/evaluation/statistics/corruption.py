"""How an arm bears spoilt inputs against a reference: without ratios a hard corruption would drown all others.

Columns of one condition are errors of the arm and of the reference; the laws take their means over items.
"""

from __future__ import annotations

import numpy as np


def condition_parts(name: str) -> tuple[str, float | None]:
    """`noise@3` is the corruption `noise` at level 3; without a level, or with none that is a number, None."""
    corruption, _, level = name.rpartition("@")
    try:
        return (corruption, float(level)) if corruption else (name, None)
    except ValueError:
        return name, None


def corruption_error(means: np.ndarray) -> np.ndarray:
    """mCE: mean over corruptions of the arm's error over its levels / the reference's. [..., c, 2] -> [...].

    Columns are mean errors (arm, reference) over the levels of each corruption. No number where the reference never
    errs. Hendrycks, Dietterich, 2019.
    """
    return _ratio(means[..., 0], means[..., 1]).mean(axis=-1)


def relative_corruption_error(means: np.ndarray) -> np.ndarray:
    """Relative mCE: as `corruption_error`, of what each loses against its own clean error. [..., c + 1, 2] -> [...].

    The last entry holds the clean errors. No number where the reference loses nothing under a corruption.
    """
    lost = means[..., :-1, :] - means[..., -1:, :]
    return _ratio(lost[..., 0], lost[..., 1]).mean(axis=-1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return above / np.where(below > 0, below, np.nan)
