"""Small changes are trimmed, each entry elects a sign, and only the sources that agree with it are averaged.

    tau_k     = x_k - base, of which the `density` largest by magnitude stay, the others become 0
    sign[e]   = sign of sum_k v_k tau_k[e]            (+ where it is 0)
    merged[e] = base[e] + scale sum_{k in A} w_k tau_k[e] / d[e],   A = sources whose trimmed tau_k[e] has that sign

Defaults are the paper's: trimming over the whole model, exactly k = int(density n) entries a source (of equal ones
the earlier tensor's, then the earlier entry), election by mass with v = 1, and d = the number of sources in A. Others
differ, and each difference is a setting:

    PEFT             trim_scope: tensor, and election: frequency for its other form (sign of sum_k v_k sign(tau_k))
    mergekit         trim_scope: tensor, kept: one (k at least 1), election_weights: true (v = w), divisor: weights
                     (d = sum of w over A), or divisor: none (d = 1) for its `normalize: false`
    authors' code    kept: threshold (all that are not smaller than the (k + 1)-th largest), undecided: majority (where
                     the sum is 0, the sign that most entries of the model elected), divisor: none for its `dis-sum`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.agreed import MOST_COUNTED, agreed
from transfuse.fusion.arrays import alike, library, numbers, weighted
from transfuse.fusion.trimming import count_of, ranges, thresholds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transfuse.fusion.contract import Unit

CITATION = "Yadav et al., TIES-Merging, NeurIPS 2023"
PARAMETERS = {
    "density": {"type": "float", "default": 0.2, "low": 0.0, "high": 1.0, "doc": "share of entries that stay"},
    "scale": {"type": "float", "default": 1.0, "low": -100.0, "high": 100.0, "doc": "factor of all that is added"},
    "trim_scope": {
        "type": "str",
        "default": "model",
        "options": ("model", "tensor"),
        "doc": "what `density` is a share of",
    },
    "kept": {
        "type": "str",
        "default": "exact",
        "options": ("exact", "one", "threshold"),
        "doc": "whether k entries stay, at least one, or all as large as the k + 1-th",
    },
    "election": {"type": "str", "default": "mass", "options": ("mass", "frequency"), "doc": "how signs are elected"},
    "election_weights": {"type": "bool", "default": False, "doc": "whether weights count in the election"},
    "divisor": {
        "type": "str",
        "default": "count",
        "options": ("count", "weights", "none"),
        "doc": "what the sum is divided by",
    },
    "undecided": {
        "type": "str",
        "default": "positive",
        "options": ("positive", "majority"),
        "doc": "the sign where the sum is 0",
    },
}
TRAITS = {
    "idempotent": False,
    "symmetric": True,
    "one_hot": False,
    "shift": True,
    "scale": True,
    "per_tensor": False,
    "elementwise": True,
    "float32": True,
    "stochastic": False,
    "needs_base": True,
    "weights": "scales",
}
# The first pass looks at every 101st entry and says between which magnitudes the threshold must lie, up to six
# standard deviations of such a sample; the second counts what lies above and keeps what lies between. Where the
# threshold proves to lie elsewhere, the second pass is made again with the whole range: the choice is always exact.
# A third counts the elected signs, where an undecided entry takes the majority's.
SURVEYS = (101, 1)


def surveys(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """The passes that these settings need."""
    return (*SURVEYS, 1) if settings["undecided"] == "majority" else SURVEYS


def survey(unit: Unit, found: Any) -> Any:
    """First pass: magnitudes of a sample. Second: how many lie above the range, and which lie in it, by piece. Third:
    the sum of the elected signs."""
    if unit.whole is not None and isinstance(unit.whole[_scope(unit.name, unit.settings)], dict):
        votes = 0 if found is None else found["votes"]
        return {"votes": votes + int(np.sign(_mass(unit, _trimmed(unit))).sum()), "whole": unit.whole}
    sizes = _magnitudes(unit)
    if unit.whole is None:
        return [*(found or []), sizes]
    found = found or {"size": 0, "above": np.zeros(len(sizes), dtype=np.int64), "near": {}}
    found["size"] += sizes.shape[1]
    limits = unit.whole[_scope(unit.name, unit.settings)]
    near = []
    for source, (row, (low, high)) in enumerate(zip(sizes, limits, strict=True)):
        above = row > high
        found["above"][source] += np.count_nonzero(above)
        inside = row[np.flatnonzero((row >= low) ^ above)]
        equal = bool(inside.size) and inside.min() == inside.max()
        # Many equal ones (entries that did not move) are one value and a number.
        near.append((inside[:1], inside.size) if equal else (inside, 1))
    found["near"][unit.piece] = near
    return found


def gather(total: dict[str, Any] | None, name: str, found: Any) -> dict[str, Any]:
    """What every tensor's survey found, in the tensors' order."""
    return {**(total or {}), name: found}


def settle(total: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """First pass: for each source the range of its threshold. Second: thresholds, and how many equal ones stay. Third:
    the majority's sign beside them."""
    first = next(iter(total.values()))
    if isinstance(first, dict) and "votes" in first:
        return {**first["whole"], "majority": int(np.sign(sum(found["votes"] for found in total.values())))}
    scopes: dict[str, dict[str, Any]] = {}
    for name, found in total.items():
        scopes.setdefault(_scope(name, settings), {})[name] = found
    if isinstance(first, list):
        return {scope: ranges(parts, settings["density"]) for scope, parts in scopes.items()}
    settled = {scope: thresholds_of(parts, settings) for scope, parts in scopes.items()}
    if any(made is None for made in settled.values()):
        sources = len(first["above"])
        return {scope: [(0.0, np.inf)] * sources for scope in scopes} | {"again": True}
    return settled


def _scope(name: str, settings: Mapping[str, Any]) -> str:
    """What a threshold is for: one tensor, or (empty) the whole model."""
    return f"tensor {name}" if settings["trim_scope"] == "tensor" else ""


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    if library(unit.x) is not np:
        return _through_torch(unit)
    if _plain(unit):
        counted, by = _divided(unit)
        thresholds = np.array(unit.whole[_scope(unit.name, unit.settings)]["thresholds"])
        scale = unit.settings["scale"]
        return agreed(unit.x, unit.base, unit.w, thresholds, scale=scale, counted=counted, by=by)
    taus = _trimmed(unit)
    positive, negative = taus > 0, taus < 0
    total = weighted(unit.w, taus)
    lost = _lost(unit, _mass(unit, taus, total))
    up = weighted(unit.w, np.maximum(taus, 0.0))
    if unit.settings["divisor"] == "none":
        return unit.base + unit.settings["scale"] * (up + (total - 2.0 * up) * lost)
    alike_weights = bool((unit.w == unit.w[0]).all())
    if unit.settings["divisor"] == "weights" and not alike_weights:
        ups, downs = weighted(unit.w, positive * 1.0), weighted(unit.w, negative * 1.0)
    else:
        ups, downs = positive.sum(axis=0, dtype=np.uint16), negative.sum(axis=0, dtype=np.uint16)
        if unit.settings["divisor"] == "weights":
            ups, downs = unit.w[0] * ups, unit.w[0] * downs
    count = ups * ~lost + downs * lost
    return unit.base + unit.settings["scale"] * (up + (total - 2.0 * up) * lost) / (count + (count == 0))


def _plain(unit: Unit) -> bool:
    """Whether nothing but thresholds decides in this piece: no equal ones, the usual election, one divisor for all."""
    asked = unit.settings
    if unit.whole is None or np.ndim(unit.base) != 1 or len(unit.w) > MOST_COUNTED:
        return False
    if any(unit.whole[_scope(unit.name, asked)]["equal"].get((unit.name, unit.piece), ())):
        return False
    ones = bool((unit.w == 1.0).all())
    loud = ones or asked["election_weights"]
    divided = asked["divisor"] != "weights" or (bool((unit.w == unit.w[0]).all()) and unit.w[0] > 0)
    return asked["election"] == "mass" and asked["undecided"] == "positive" and loud and divided


def _divided(unit: Unit) -> tuple[bool, float]:
    """Whether sums are divided by how many agree, and by what else."""
    return unit.settings["divisor"] != "none", float(unit.w[0]) if unit.settings["divisor"] == "weights" else 1.0


def _trimmed(unit: Unit) -> np.ndarray:
    """What each source changed, 0 where it is trimmed: [K, *S]."""
    taus = np.subtract(numbers(unit.x), numbers(unit.base), dtype=np.float64)
    # Products with booleans: choosing by a mask costs several times as much where the mask looks random.
    taus *= _stays(unit, np.abs(taus).reshape(len(taus), -1)).reshape(taus.shape)
    return taus


def _mass(unit: Unit, taus: np.ndarray, total: np.ndarray | None = None) -> np.ndarray:
    """The sum whose sign is elected; `total` is the sum by weights, where it is at hand."""
    weights = numbers(unit.w)
    loud = weights if unit.settings["election_weights"] else np.ones(len(weights))
    if unit.settings["election"] == "frequency":
        return weighted(loud, np.sign(taus))
    return total if total is not None and np.array_equal(loud, weights) else weighted(loud, taus)


def _lost(unit: Unit, mass: np.ndarray) -> np.ndarray:
    """Where the negative sign is elected."""
    if unit.settings["undecided"] == "positive":
        return mass < 0
    # Alone, a tensor is the whole model.
    majority = np.sign(mass).sum() if unit.whole is None else unit.whole["majority"]
    return mass < 0 if majority > 0 else mass <= 0


def _through_torch(unit: Unit) -> Any:
    """The same in torch, so that weights can be learned; what is trimmed and elected takes no gradient."""
    lib = library(unit.x)
    taus, trimmed = unit.x - unit.base, _trimmed(unit)
    elected = np.where(_lost(unit, _mass(unit, trimmed)), -1.0, 1.0)
    agree = alike(trimmed * elected > 0, unit.base)
    total = weighted(unit.w, agree * taus)
    if unit.settings["divisor"] == "none":
        return unit.base + unit.settings["scale"] * total
    count = weighted(unit.w, agree) if unit.settings["divisor"] == "weights" else agree.sum(dim=0)
    safe = lib.where(count == 0, lib.ones_like(count), count)
    return unit.base + unit.settings["scale"] * total / safe


def reference(unit: Unit) -> Any:
    """The law, entry by entry; alone, a tensor is the whole model."""
    x, base, weights = numbers(unit.x), numbers(unit.base), numbers(unit.w)
    taus = [(x[source] - base).ravel() for source in range(len(weights))]
    kept = int(unit.settings["density"] * base.size)
    for tau in taus:
        order = sorted(range(tau.size), key=lambda place: (-abs(tau[place]), place))
        tau[order[kept:]] = 0.0
    merged = base.ravel().copy()
    for place in range(base.size):
        mass = sum(tau[place] for tau in taus)
        sign = -1.0 if mass < 0 else 1.0
        agreeing = [source for source, tau in enumerate(taus) if tau[place] * sign > 0]
        if agreeing:
            total = sum(weights[source] * taus[source][place] for source in agreeing)
            merged[place] += unit.settings["scale"] * total / len(agreeing)
    return merged.reshape(base.shape)


def _magnitudes(unit: Unit) -> np.ndarray:
    """|x_k - base| of all sources, flat: [K, n] float64."""
    sizes = np.subtract(numbers(unit.x), numbers(unit.base), dtype=np.float64).reshape(len(unit.x), -1)
    return np.abs(sizes, out=sizes)


def _stays(unit: Unit, sizes: np.ndarray) -> np.ndarray:
    """Which entries survive trimming, of magnitudes [K, n]. Without a survey the unit is the whole model."""
    if unit.whole is None:
        kept = count_of(sizes.shape[1], unit.settings)
        return np.stack([_largest(row, kept, unit.settings["kept"] == "threshold") for row in sizes])
    whole = unit.whole[_scope(unit.name, unit.settings)]
    stays = sizes > np.array(whole["thresholds"])[:, None]
    for source, equal in enumerate(whole["equal"].get((unit.name, unit.piece), ())):
        if equal:
            stays[source, np.flatnonzero(sizes[source] == whole["thresholds"][source])[:equal]] = True
    return stays


def _largest(row: np.ndarray, kept: int, equal: bool) -> np.ndarray:
    """The `kept` largest; of equal ones the first, or with `equal` all."""
    if kept == 0:
        return np.zeros(len(row), dtype=bool)
    threshold = np.partition(row, len(row) - kept)[len(row) - kept]
    if equal:
        return row >= threshold
    stays = row > threshold
    stays[np.flatnonzero(row == threshold)[: kept - int(stays.sum())]] = True
    return stays
