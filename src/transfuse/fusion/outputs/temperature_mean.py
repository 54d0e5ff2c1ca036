"""Each member is calibrated by a temperature of its own before the mean, so that a loud one does not outvote the rest.

    p[n] = (1/K) sum_k softmax( log p_k[n] / T_k )                                         [N, C]

`T_k` in [1/20, 20] has the lowest log-loss of member k alone on the rows apart. A mean of calibrated members that
disagree is too timid itself; the arm's own temperature, fitted afterwards, puts that right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.heat import softened, temperatures
from transfuse.kinds import LEAST_PROBABILITY

if TYPE_CHECKING:
    from torch import Tensor

CITATION = "Guo et al., On calibration of modern neural networks, ICML 2017; Rahaman, Thiery, NeurIPS 2021"
PARAMETERS: dict[str, dict[str, Any]] = {}
TRAITS = {
    "idempotent": False,
    "convex": False,
    "unanimous": True,
    "pooling": False,
    "symmetric": True,
    "kinds": "multiclass, multilabel",
}
REVISION = 2


def fit(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """One temperature a member: `probabilities [K, N, C]`, `targets [N]` -> `temperatures [K]`."""
    return {"temperatures": temperatures(probabilities, targets)}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    total = np.zeros(probabilities.shape[1:])
    for member, heat in zip(probabilities, state["temperatures"], strict=True):
        total += softened(member, float(heat))
    return total / len(probabilities)


def graph(state: dict[str, Tensor], probabilities: Tensor) -> Tensor:
    """`apply` on tensors, for a graph that runs elsewhere."""
    heated = probabilities.clamp_min(LEAST_PROBABILITY).log() / state["temperatures"][:, None, None]
    return heated.softmax(dim=2).mean(dim=0)
