"""Fine-tuned sources are pulled back towards their base, as far as the angle between them says that they are noisy.

    tau_k = x_k - base,   c = mean over pairs of cos(tau_j, tau_k),   t = K c / (1 + (K - 1) c)
    merged = t sum_k s_k x_k + (1 - t) base,   s = w / sum w        x [K, *S] -> [*S]

Sources that learned the same (c = 1) give their mean, sources that learned unrelated things (c = 0) the base. A
negative cosine would push beyond the base the wrong way: t is held to 0 … 1. Tensor by tensor. One source gives itself.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import numbers

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Jang et al., Model Stock, ECCV 2024"
PARAMETERS: dict[str, dict[str, Any]] = {}
TRAITS = {
    "idempotent": True,
    "symmetric": True,
    "one_hot": False,
    "shift": True,
    "scale": True,
    "per_tensor": True,
    "stochastic": False,
    "needs_base": True,
}


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    share = unit.w / unit.w.sum()
    mean = sum(share[index] * unit.x[index] for index in range(len(share)))
    t = _pull(numbers(unit.x), numbers(unit.base))
    return t * mean + (1.0 - t) * unit.base


def reference(unit: Unit) -> Any:
    """The law with every cosine written out."""
    count = len(unit.w)
    taus = [(unit.x[index] - unit.base).ravel() for index in range(count)]
    cosines = []
    for j in range(count):
        for k in range(count):
            if j != k:
                lengths = np.sqrt((taus[j] ** 2).sum()) * np.sqrt((taus[k] ** 2).sum())
                cosines.append((taus[j] * taus[k]).sum() / lengths)
    c = max(sum(cosines) / len(cosines), 0.0) if cosines else 1.0
    t = count * c / (1 + (count - 1) * c)
    mean = sum(unit.w[index] * unit.x[index] for index in range(count)) / unit.w.sum()
    return t * mean + (1 - t) * unit.base


def _pull(x: np.ndarray, base: np.ndarray) -> float:
    taus = (x - base).reshape(len(x), -1)
    lengths = np.linalg.norm(taus, axis=1)
    # A source that did not move from the base has learned nothing that another could confirm.
    cosines = [
        float(taus[j] @ taus[k] / (lengths[j] * lengths[k]))
        if lengths[j] * lengths[k]
        else float(np.array_equal(x[j], x[k]))
        for j, k in combinations(range(len(x)), 2)
    ]
    c = float(np.clip(np.mean(cosines), 0.0, 1.0)) if cosines else 1.0
    return len(x) * c / (1 + (len(x) - 1) * c)
