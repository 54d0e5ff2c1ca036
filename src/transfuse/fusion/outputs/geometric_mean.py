"""The normalised geometric mean of the members' probabilities: what the mean of logits comes to.

    p[n, c] = prod_k p_k[n, c]^(1/K) / Z[n],   Z[n] = sum_c prod_k p_k[n, c]^(1/K)        [N, C]

Softmax forgets a constant added to a row of logits, so this is softmax of the mean logits too. Its log-loss lies below
the mean of the members' by exactly `-mean_n log Z[n]`. One member that says almost never vetoes. Nothing is fitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from transfuse.kinds import LEAST_PROBABILITY

if TYPE_CHECKING:
    from torch import Tensor

CITATION = "Heskes, Selecting weighting factors in logarithmic opinion pools, NeurIPS 1997"
PARAMETERS: dict[str, dict[str, Any]] = {}
TRAITS = {
    "idempotent": True,
    "convex": False,
    "unanimous": True,
    "pooling": True,
    "symmetric": True,
    "kinds": "multiclass, multilabel",
}


def fit(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Nothing to learn: `probabilities [K, N, C]`, `targets [N]` -> an empty state."""
    return {}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    total = np.zeros(probabilities.shape[1:])
    for member in probabilities:
        total += np.log(np.maximum(member, LEAST_PROBABILITY))
    return softmax(total / len(probabilities), axis=1)


def graph(state: dict[str, Tensor], probabilities: Tensor) -> Tensor:
    """`apply` on tensors, for a graph that runs elsewhere."""
    return probabilities.clamp_min(LEAST_PROBABILITY).log().mean(dim=0).softmax(dim=1)
