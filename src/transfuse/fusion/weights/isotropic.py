"""The summed change of each matrix keeps its directions, but all of them get the same strength.

    sum_k w_k (x_k - base) = U diag(s) V^T,   merged = base + scale mean(s) U V^T        matrices [m, n]

No source's dominant direction drowns the others'. Kernels [o, i, h, w] are taken as matrices [o, i h w]; vectors and
numbers are averaged as they are (a mean of changes, times the scale).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import library, numbers

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Marczak et al., No task left behind: isotropic model merging (Iso-C), ICML 2025"
PARAMETERS = {
    "scale": {"type": "float", "default": 1.0, "low": -100.0, "high": 100.0, "doc": "factor of all that is added"},
}
TRAITS = {
    "idempotent": False,
    "symmetric": True,
    "one_hot": False,
    "shift": True,
    "scale": True,
    "per_tensor": True,
    "stochastic": False,
    "needs_base": True,
    "weights": "scales",
}


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    total: Any = sum(unit.w[index] * (unit.x[index] - unit.base) for index in range(len(unit.w)))
    if unit.base.ndim < 2:
        return unit.base + unit.settings["scale"] * total / len(unit.w)
    lib = library(total)
    u, s, vt = lib.linalg.svd(total.reshape(total.shape[0], -1), full_matrices=False)
    return unit.base + unit.settings["scale"] * s.mean() * (u @ vt).reshape(total.shape)


def reference(unit: Unit) -> Any:
    """The polar factor by the eigenvectors of the smaller Gram matrix, times the mean singular value."""
    base = numbers(unit.base)
    total = np.zeros(base.shape)
    for index in range(len(unit.w)):
        total = total + float(unit.w[index]) * (numbers(unit.x)[index] - base)
    if base.ndim < 2:
        return base + unit.settings["scale"] * total / len(unit.w)
    matrix = total.reshape(len(total), -1)
    wide = matrix.shape[0] > matrix.shape[1]
    small = matrix.T if wide else matrix
    values, vectors = np.linalg.eigh(small @ small.T)
    strengths = np.sqrt(np.maximum(values, 0.0))
    polar = vectors @ np.diag(1.0 / strengths) @ vectors.T @ small
    return base + unit.settings["scale"] * strengths.mean() * (polar.T if wide else polar).reshape(base.shape)
