"""Regularised H-score: H-score with a covariance shrunk towards a multiple of the identity, for few rows.

    (1 − r) tr(Σ⁻¹ cov(E[F | y])),   Σ = (1 − r) S/N + r tr(S/N)/D · I,   r by Ledoit and Wolf, 2004

Unchanged by rotations and by one common scale of F. The covariance of class means is divided by N − 1, as published.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.evaluation.probes.moments import Moments
from transfuse.evaluation.probes.ridge import shifted_solve
from transfuse.evaluation.scores.h_score import between
from transfuse.types import Undefined, Value

CITATION = "Ibrahim et al., Newer is not always better: rethinking transferability metrics, 2021; Ledoit, Wolf, 2004"
TRAITS = {"default": True, "unit": "classes told apart"}
ORDER = 41


def score(material: Material) -> Value:
    """The share between classes under the shrunk covariance; undefined where the features do not vary."""
    found = material.moments
    level = float(np.trace(found.gram)) / (found.rows * found.width)
    if level == 0.0:
        return Undefined("the features are the same on all rows")
    amount = shrinkage(found)
    if amount == 1.0:
        return 0.0
    # Σ = (1 − r)/N (S + shift I)
    shift = amount * level * found.rows / (1.0 - amount)
    if shift == 0.0:
        return between(found) * found.rows / (found.rows - 1)
    there = found.counts > 0
    sides = found.sums[:, there]
    products = (sides * shifted_solve(found.gram, shift, sides)).sum(axis=0)
    return float((products / found.counts[there]).sum()) * found.rows / (found.rows - 1)


def shrinkage(found: Moments) -> float:
    """Ledoit and Wolf's share r of the identity, from moments alone. In [0, 1]."""
    rows, width = found.rows, found.width
    squares = float((found.gram**2).sum()) / rows**2
    level = float(np.trace(found.gram)) / (rows * width)
    noise = (found.fourth / rows - squares) / (width * rows)
    spread = squares / width - level**2
    return 0.0 if noise <= 0 else float(min(noise, spread) / spread) if spread > 0 else 1.0
