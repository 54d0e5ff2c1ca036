"""Every entry is averaged with the certainty that each member's data gave it.

    merged = sum_k s_k F_k x_k / sum_k s_k F_k,   F_k >= 0 the diagonal Fisher information        x, F [K, *S] -> [*S]

`epsilon`, a share of the tensor's mean information, is added to F: entries that nobody's data speaks of get the plain
mean. With `normalise` each member's information is divided by its own mean, so that no member wins by having seen
harder items. A tensor without information (`stat` lacks it) gets the plain mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import alike, library, numbers, weighted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transfuse.fusion.contract import Unit

CITATION = "Matena and Raffel, Merging models with Fisher-weighted averaging, NeurIPS 2022"
PARAMETERS = {
    "epsilon": {"type": "float", "default": 1e-6, "low": 1e-12, "high": 1.0, "doc": "added, as a share of the mean"},
    "normalise": {"type": "bool", "default": False, "doc": "whether members' information is brought to one mean"},
}
TRAITS = {
    "idempotent": True,
    "symmetric": True,
    "one_hot": True,
    "shift": True,
    "scale": True,
    "per_tensor": True,
    "elementwise": True,
    "stochastic": False,
    "needs_base": False,
}
NEEDS = ("fisher",)
SURVEYS = (1,)


def survey(unit: Unit, found: np.ndarray | None) -> np.ndarray:
    """Each member's summed information and the number of entries: [K + 1]."""
    if "fisher" not in unit.stat:
        return np.zeros(len(unit.w) + 1)
    information = numbers(unit.stat["fisher"]).reshape(len(unit.w), -1)
    sums = np.append(information.sum(axis=1), information.shape[1])
    return sums if found is None else found + sums


def gather(total: dict[str, np.ndarray] | None, name: str, found: np.ndarray) -> dict[str, np.ndarray]:
    """The sums of every tensor."""
    return {**(total or {}), name: found}


def settle(total: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Nothing is left to do."""
    return total


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    share = unit.w / unit.w.sum()
    if "fisher" not in unit.stat:
        return weighted(share, unit.x)
    means = _means(survey(unit, None) if unit.whole is None else unit.whole[unit.name])
    information = alike(_prepared(numbers(unit.stat["fisher"]), means, unit.settings), unit.x)
    total = weighted(share, information)
    lib = library(unit.x)
    # Negative weights can cancel a sum, as they can in the mean.
    safe = lib.where(total == 0, lib.ones_like(total), total)
    return weighted(share, information * unit.x) / safe


def reference(unit: Unit) -> Any:
    """The law, entry by entry."""
    x, information = numbers(unit.x), numbers(unit.stat["fisher"]).astype(np.float64)
    if unit.settings["normalise"]:
        information = np.stack([row / row.mean() for row in information])
    information = information + unit.settings["epsilon"] * information.mean()
    merged = np.zeros(x.shape[1:])
    for place in np.ndindex(merged.shape):
        above = sum(unit.w[k] * information[(k, *place)] * x[(k, *place)] for k in range(len(x)))
        merged[place] = above / sum(unit.w[k] * information[(k, *place)] for k in range(len(x)))
    return merged


def _means(sums: np.ndarray) -> np.ndarray:
    """Each member's mean information in the whole tensor."""
    return sums[:-1] / max(sums[-1], 1.0)


def _prepared(information: np.ndarray, means: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Information [K, *S] with what is added to it; one everywhere where nobody has any."""
    shape = (len(means), *[1] * (information.ndim - 1))
    if settings["normalise"]:
        information, means = information / np.where(means > 0, means, 1.0).reshape(shape), (means > 0) * 1.0
    floor = settings["epsilon"] * means.mean()
    return information + (floor if floor > 0 else 1.0)
