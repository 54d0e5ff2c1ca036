"""Members are averaged with weights that are learned, positive and sum to one.

    p[n] = sum_k w_k p_k[n],   w = argmin over the simplex of  -mean_n log sum_k w_k p_k[n, y_n]     [N, C]

The loss is convex in w. Fixed-point steps `w_k <- w_k mean_n ( p_k[n, y_n] / p[n, y_n] )` never raise it and stay on
the simplex (expectation-maximisation of a mixture); on the rows apart the pool is never worse than its best member.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

CITATION = "van der Laan, Polley, Hubbard, Super learner, 2007; Dempster, Laird, Rubin, 1977 (the steps)"
PARAMETERS = {
    "steps": {"type": "int", "default": 20000, "low": 1, "high": 10000000, "doc": "at most so many steps"},
}
TRAITS = {"idempotent": True, "convex": True, "unanimous": True, "pooling": False, "symmetric": True}
FLOOR, STILL = 1e-15, 1e-10


def fit(probabilities: np.ndarray, targets: np.ndarray, *, steps: int) -> dict[str, np.ndarray]:
    """The weights: `probabilities [K, N, C]`, `targets [N]` -> `weights [K]`."""
    true = np.maximum(probabilities[:, np.arange(len(targets)), targets], FLOOR)
    weights = np.full(len(true), 1.0 / len(true))
    for _ in range(steps):
        better = weights * (true / (weights @ true)).mean(axis=1)
        better /= better.sum()
        moved = float(np.abs(better - weights).max())
        weights = better
        if moved < STILL:
            break
    return {"weights": weights}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    return np.tensordot(state["weights"], probabilities, axes=1)


def graph(state: dict[str, Tensor], probabilities: Tensor) -> Tensor:
    """`apply` on tensors, for a graph that runs elsewhere."""
    return (state["weights"][:, None, None] * probabilities).sum(dim=0)
