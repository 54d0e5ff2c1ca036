"""Fine-tuned sources are pulled back towards their base, as far as the angle between them says that they are noisy.

    tau_k = x_k - base,   c = mean over pairs of cos(tau_j, tau_k),   t = K c / (1 + (K - 1) c)
    merged = t sum_k s_k x_k + (1 - t) base,   s = w / sum w        x [K, *S] -> [*S]

Sources that learned the same (c = 1) give their mean, sources that learned unrelated things (c = 0) the base. A
negative cosine would push beyond the base the wrong way: t is held to 0 … 1. Tensor by tensor. One source gives itself.
`hold: false` is the formula as it stands, as mergekit has it: beyond the base where c < 0, the base at its pole.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import numbers, weighted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transfuse.fusion.contract import Unit

CITATION = "Jang et al., Model Stock, ECCV 2024"
PARAMETERS = {"hold": {"type": "bool", "default": True, "doc": "whether t is held to 0 ... 1"}}
TRAITS = {
    "idempotent": True,
    "symmetric": True,
    "one_hot": False,
    "shift": True,
    "scale": True,
    "per_tensor": True,
    "elementwise": True,
    "stochastic": False,
    "needs_base": True,
}
SURVEYS = (1,)


def survey(unit: Unit, found: np.ndarray | None) -> np.ndarray:
    """All <tau_j, tau_k>, [K, K]."""
    taus = (numbers(unit.x) - numbers(unit.base)).reshape(len(unit.x), -1)
    return taus @ taus.T if found is None else found + taus @ taus.T


def gather(total: dict[str, np.ndarray] | None, name: str, found: np.ndarray) -> dict[str, np.ndarray]:
    """The products of every tensor."""
    return {**(total or {}), name: found}


def settle(total: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Nothing is left to do."""
    return total


def coefficients(unit: Unit) -> np.ndarray:
    """`[K + 1]`."""
    t = _pull(unit.whole[unit.name], unit.settings["hold"])
    return np.append(t * unit.w / unit.w.sum(), 1.0 - t)  # the base


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    t = _pull(survey(unit, None) if unit.whole is None else unit.whole[unit.name], unit.settings["hold"])
    return t * weighted(unit.w / unit.w.sum(), unit.x) + (1.0 - t) * unit.base


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


def _pull(products: np.ndarray, hold: bool) -> float:
    """t from all <tau_j, tau_k>."""
    lengths, count = np.sqrt(np.diag(products)), len(products)
    # A source that did not move from the base has learned nothing that another could confirm; two of them agree.
    cosines = [
        float(products[j, k] / (lengths[j] * lengths[k]))
        if lengths[j] * lengths[k]
        else float(lengths[j] == lengths[k])
        for j, k in combinations(range(count), 2)
    ]
    c = float(np.clip(np.mean(cosines), 0.0 if hold else -1.0, 1.0)) if cosines else 1.0
    below = 1 + (count - 1) * c
    return count * c / below if abs(below) > 1e-9 else 0.0
