"""TransRate: how much shorter the features can be told once the classes are known, at precision eps.

    R(Z) − Σ_c (n_c / N) R(Z_c),   R(Z) = ½ log det(I + Zᵀ Z / (n eps)),   Z centred once, eps = 1e-4

0 for a single class. `transrate_equal` weighs all classes alike, as the published code does; they part ways where
classes differ in size.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.evaluation.probes.moments import turned
from transfuse.types import Value

CITATION = "Huang et al., Frustratingly easy transferability estimation, ICML 2022"
TRAITS = {"default": False, "unit": "nats", "classes": False}
ORDER = 60
EPS = 1e-4


def score(material: Material) -> Value:
    """Classes weigh as many rows as they have."""
    counts = material.moments.counts
    return gained(material, counts / counts.sum())


def gained(material: Material, weights: np.ndarray) -> float:
    """R of all rows less the weighted sum of R of each class; weights [C]."""
    block, targets = material.square, np.asarray(material.targets)
    centred = block - block.mean(axis=0)
    parts = sum(float(weights[number]) * rate(centred[targets == number]) for number in material.present)
    return rate(centred) - float(parts)


def rate(rows: np.ndarray) -> float:
    """½ log det(I + Zᵀ Z / (n eps)), from the smaller of both sides. [n, D]."""
    square = turned(rows)
    return 0.5 * float(np.linalg.slogdet(np.eye(square.shape[1]) + square.T @ square / (len(rows) * EPS))[1])
