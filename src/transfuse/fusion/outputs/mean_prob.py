"""The mean of the members' probabilities: the plain ensemble that every fusion must answer to.

    p[n] = (1/K) sum_k p_k[n]        [N, C]

Its log-loss is never above the mean of the members' log-losses (Jensen). Nothing is fitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

CITATION = "Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation, NeurIPS 2017"
PARAMETERS: dict[str, dict[str, Any]] = {}
TRAITS = {
    "idempotent": True,
    "convex": True,
    "unanimous": True,
    "pooling": True,
    "symmetric": True,
    "kinds": "multiclass, multilabel, regression",
}


def fit(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Nothing to learn: `probabilities [K, N, C]`, `targets [N]` -> an empty state."""
    return {}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    return probabilities.mean(axis=0)


def graph(state: dict[str, Tensor], probabilities: Tensor) -> Tensor:
    """`apply` on tensors, for a graph that runs elsewhere."""
    return probabilities.mean(dim=0)
