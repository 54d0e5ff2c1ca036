"""Each member is calibrated by a temperature of its own before the mean, so that a loud one does not outvote the rest.

    p[n] = (1/K) sum_k softmax( log p_k[n] / T_k )                                         [N, C]

`T_k` in [1/20, 20] has the lowest log-loss of member k alone on the rows apart. A mean of calibrated members that
disagree is too timid itself; the arm's own temperature, fitted afterwards, puts that right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

if TYPE_CHECKING:
    from torch import Tensor

CITATION = "Guo et al., On calibration of modern neural networks, ICML 2017; Rahaman, Thiery, NeurIPS 2021"
PARAMETERS: dict[str, dict[str, Any]] = {}
TRAITS = {"idempotent": False, "convex": False, "unanimous": True, "pooling": False, "symmetric": True}
FLOOR = 1e-15
COOLEST, HOTTEST = np.log(1 / 20), np.log(20.0)


def fit(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """One temperature a member: `probabilities [K, N, C]`, `targets [N]` -> `temperatures [K]`."""
    return {"temperatures": np.array([_temperature(_logs(member), targets) for member in probabilities])}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    return softmax(_logs(probabilities) / state["temperatures"][:, None, None], axis=2).mean(axis=0)


def graph(state: dict[str, Tensor], probabilities: Tensor) -> Tensor:
    """`apply` on tensors, for a graph that runs elsewhere."""
    heated = probabilities.clamp_min(FLOOR).log() / state["temperatures"][:, None, None]
    return heated.softmax(dim=2).mean(dim=0)


def _logs(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, FLOOR))


def _temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    rows = np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits * np.exp(-log_temperature), axis=1)[rows, targets].mean())

    found: Any = minimize_scalar(loss, bounds=(COOLEST, HOTTEST), method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x))
