"""Each member's strongest directions of change are kept, made orthogonal to the others', and added up.

    tau_k = U_k S_k V_k^T, its first r / K directions kept (r = min(m, n));  U = [U_1 ... U_K],  V = [V_1 ... V_K]
    merged = base + scale polar(U) diag(w_1 S_1, ..., w_K S_K) polar(V)^T        matrices [m, n]

polar(A) = P Q^T where A = P D Q^T is the nearest matrix with orthonormal columns: members' directions that overlap no
longer interfere. Kernels [o, i, h, w] are matrices [o, i h w]. Vectors, and matrices with fewer directions than
members, get the mean of changes, times the scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import library, numbers, weighted

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Gargiulo et al., Task singular vectors: reducing task interference in model merging (TSV-M), CVPR 2025"
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
    taus, scale = unit.x - unit.base, unit.settings["scale"]
    kept = _kept(unit)
    if not kept:
        return unit.base + scale * weighted(unit.w, taus) / len(unit.w)
    lib = library(taus)
    parts = [lib.linalg.svd(tau.reshape(tau.shape[0], -1), full_matrices=False) for tau in taus]
    left = _polar(lib, lib.hstack([u[:, :kept] for u, _, _ in parts]))
    right = _polar(lib, lib.hstack([vt[:kept].T for _, _, vt in parts]))
    strengths = lib.hstack([unit.w[k] * s[:kept] for k, (_, s, _) in enumerate(parts)])
    return unit.base + scale * ((left * strengths) @ right.T).reshape(unit.base.shape)


def reference(unit: Unit) -> Any:
    """The same directions by eigenvectors, and polar factors by Newton's iteration."""
    x, base = numbers(unit.x), numbers(unit.base)
    kept = _kept(unit)
    if not kept:
        changes = [float(unit.w[k]) * (x[k] - base) for k in range(len(x))]
        return base + unit.settings["scale"] * sum(changes) / len(x)
    lefts, rights, strengths = [], [], []
    for k in range(len(x)):
        tau = (x[k] - base).reshape(len(base), -1)
        values, vectors = np.linalg.eigh(tau @ tau.T if tau.shape[0] <= tau.shape[1] else tau.T @ tau)
        found = np.sqrt(np.maximum(values[::-1][:kept], 0.0))
        side = vectors[:, ::-1][:, :kept]
        other = (tau.T @ side if tau.shape[0] <= tau.shape[1] else tau @ side) / found
        u, v = (side, other) if tau.shape[0] <= tau.shape[1] else (other, side)
        lefts.append(u)
        rights.append(v)
        strengths.append(float(unit.w[k]) * found)
    left, right = (_newton(np.hstack(sides)) for sides in (lefts, rights))
    return base + unit.settings["scale"] * (left @ np.diag(np.hstack(strengths)) @ right.T).reshape(base.shape)


def _kept(unit: Unit) -> int:
    """How many directions each member keeps; 0 where a tensor is no matrix or has too few."""
    shape = unit.base.shape
    if len(shape) < 2:
        return 0
    return min(shape[0], int(np.prod(shape[1:]))) // len(unit.w)


def _polar(lib: Any, matrix: Any) -> Any:
    p, _, q = lib.linalg.svd(matrix, full_matrices=False)
    return p @ q


def _newton(matrix: np.ndarray) -> np.ndarray:
    """(A^T A)^(-1/2) from its eigenvalues, applied to A."""
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    return matrix @ vectors @ np.diag(1.0 / np.sqrt(np.maximum(values, 1e-300))) @ vectors.T
