"""Members are averaged with weights that are learned, positive and sum to one.

    p[n] = sum_k w_k p_k[n],   w = argmin over the simplex of  -mean_n log sum_k w_k p_k[n, y_n]     [N, C]

The loss is convex in w; where it is least over w >= 0 of `loss + sum w`, w sums to one by itself, so bounded
quasi-Newton steps find it. Fixed-point steps `w_k <- w_k mean_n ( p_k[n, y_n] / p[n, y_n] )` then never raise it and
stay on the simplex (expectation-maximisation of a mixture); on the rows apart the pool is never worse than its best
member.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from transfuse.kinds import LEAST_PROBABILITY

if TYPE_CHECKING:
    from torch import Tensor

CITATION = "van der Laan, Polley, Hubbard, Super learner, 2007; Dempster, Laird, Rubin, 1977 (the steps)"
PARAMETERS = {
    "steps": {"type": "int", "default": 300, "low": 1, "high": 10000000, "doc": "at most so many fixed-point steps"},
}
TRAITS = {
    "idempotent": True,
    "convex": True,
    "unanimous": True,
    "pooling": False,
    "symmetric": True,
    "kinds": "multiclass, multilabel",
}
REVISION = 2
STILL = 1e-10


def fit(probabilities: np.ndarray, targets: np.ndarray, *, steps: int) -> dict[str, np.ndarray]:
    """The weights: `probabilities [K, N, C]`, `targets [N]` -> `weights [K]`."""
    true = np.maximum(probabilities[:, np.arange(len(targets)), targets], LEAST_PROBABILITY)
    weights = _near(true)
    for _ in range(steps):
        better = weights * (true / (weights @ true)).mean(axis=1)
        better /= better.sum()
        moved = float(np.abs(better - weights).max())
        weights = better
        if moved < STILL:
            break
    return {"weights": weights}


def _near(true: np.ndarray) -> np.ndarray:
    """Weights near the best, none of them zero, so that fixed-point steps can still move each. [K, N] -> [K]."""

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        pooled = np.maximum(weights @ true, LEAST_PROBABILITY)
        return float(weights.sum() - np.log(pooled).mean()), 1.0 - (true / pooled).mean(axis=1)

    start, bounds = np.full(len(true), 1.0 / len(true)), [(0.0, None)] * len(true)
    options = {"maxiter": 500, "ftol": 1e-15, "gtol": 1e-10}
    found = np.maximum(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x, 1e-12)
    return found / found.sum()


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    return np.tensordot(state["weights"], probabilities, axes=1)


def graph(state: dict[str, Tensor], probabilities: Tensor) -> Tensor:
    """`apply` on tensors, for a graph that runs elsewhere."""
    return (state["weights"][:, None, None] * probabilities).sum(dim=0)
