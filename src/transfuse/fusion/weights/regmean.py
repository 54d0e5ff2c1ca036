"""Every linear layer is the one whose outputs are nearest to what each member's layer gives on its own data.

    W = argmin sum_k s_k E_k |x W_k^T - x W^T|^2   =>   W^T = (sum_k s_k G_k)^-1 sum_k s_k G_k W_k^T

G_k [in, in] is the second moment of the layer's inputs on member k's data, its off-diagonal entries multiplied by
`keep`; `ridge`, a share of its mean diagonal, makes a singular sum solvable. Kernels are matrices [o, i h w].
Tensors whose moments are not known (`stat` lacks them), such as biases and norms, get the plain mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import alike, library, numbers, weighted

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Jin et al., Dataless knowledge fusion by merging weights of language models (RegMean), ICLR 2023"
PARAMETERS = {
    "keep": {"type": "float", "default": 0.9, "low": 0.0, "high": 1.0, "doc": "factor of off-diagonal moments"},
    "ridge": {"type": "float", "default": 1e-6, "low": 1e-12, "high": 1.0, "doc": "added, as a share of the diagonal"},
}
TRAITS = {
    "idempotent": True,
    "symmetric": True,
    "one_hot": True,
    "shift": True,
    "scale": True,
    "per_tensor": True,
    "stochastic": False,
    "needs_base": False,
}
NEEDS = ("gram",)


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    share = unit.w / unit.w.sum()
    if "gram" not in unit.stat or unit.x.ndim < 3:
        return weighted(share, unit.x)
    lib, shape = library(unit.x), unit.x.shape[1:]
    matrices = unit.x.reshape(len(unit.x), shape[0], -1)
    moments = alike(_prepared(unit), unit.x)
    total: Any = sum(share[k] * moments[k] for k in range(len(share)))
    wanted: Any = sum(share[k] * (moments[k] @ matrices[k].T) for k in range(len(share)))
    return lib.linalg.solve(total, wanted).T.reshape(shape)


def reference(unit: Unit) -> Any:
    """The law by its normal equations, one output at a time."""
    x = numbers(unit.x)
    if "gram" not in unit.stat or x.ndim < 3:
        return sum(unit.w[k] * x[k] for k in range(len(x))) / unit.w.sum()
    moments, merged = _prepared(unit), np.zeros((x.shape[1], int(np.prod(x.shape[2:]))))
    for row in range(len(merged)):
        above = sum(unit.w[k] * moments[k] @ x[k, row].ravel() for k in range(len(x)))
        merged[row] = np.linalg.lstsq(sum(unit.w[k] * moments[k] for k in range(len(x))), above, rcond=None)[0]
    return merged.reshape(x.shape[1:])


def _prepared(unit: Unit) -> np.ndarray:
    """Moments [K, n, n], off-diagonal entries weakened, and a ridge added that is the same for all members."""
    moments = numbers(unit.stat["gram"]).astype(np.float64)
    diagonal = moments.diagonal(axis1=1, axis2=2)
    ridge = unit.settings["ridge"] * max(float(diagonal.mean()), 1e-30)
    weakened = moments * unit.settings["keep"]
    places = np.arange(moments.shape[1])
    weakened[:, places, places] = diagonal + ridge
    return weakened
