"""Small changes are trimmed, each entry elects a sign, and only the sources that agree with it are averaged.

    tau_k     = x_k - base, of which the `density` largest by magnitude stay, the others become 0
    sign[e]   = sign of sum_k v_k tau_k[e]            (+ where it is 0)
    merged[e] = base[e] + scale sum_{k in A} w_k tau_k[e] / d[e],   A = sources whose trimmed tau_k[e] has that sign

Defaults are the paper's: trimming over the whole model, exactly k = int(density n) entries a source (of equal ones
the earlier tensor's, then the earlier entry), election by mass with v = 1, and d = the number of sources in A. Peers
differ, and each difference is a setting: `trim_scope: tensor` (PEFT, mergekit), `election: frequency` (PEFT's other
form), `election_weights: true` (v = w, mergekit), `divisor: weights` (d = sum of w over A, mergekit).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import alike, library, numbers

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
    "election": {"type": "str", "default": "mass", "options": ("mass", "frequency"), "doc": "how signs are elected"},
    "election_weights": {"type": "bool", "default": False, "doc": "whether weights count in the election"},
    "divisor": {
        "type": "str",
        "default": "count",
        "options": ("count", "weights"),
        "doc": "what the sum is divided by",
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
    "stochastic": False,
    "needs_base": True,
    "weights": "scales",
}
SURVEYS = 2
# The first pass counts magnitudes by their leading 16 bits, classes a sixteenth of an octave wide; the second looks
# into the one class that the threshold lies in.
SHIFT = np.uint64(48)


def survey(unit: Unit, found: dict[str, Any] | None) -> dict[str, Any]:
    """First pass: how many magnitudes of each source have which leading bits. Second: those near the threshold."""
    taus = _magnitudes(unit)
    keys = taus.view(np.uint64) >> SHIFT
    if unit.whole is None:
        counts = np.stack([np.bincount(row.astype(np.intp), minlength=1 << 16) for row in keys])
        return {
            "counts": counts + (found["counts"] if found else 0),
            "size": taus.shape[1] + (found["size"] if found else 0),
        }
    buckets = unit.whole[_scope(unit.name, unit.settings)]["bucket"]
    near = {unit.piece: [row[key == bucket] for row, key, bucket in zip(taus, keys, buckets, strict=True)]}
    return {"near": (found["near"] if found else {}) | near, "whole": unit.whole}


def gather(total: dict[str, Any] | None, name: str, found: dict[str, Any]) -> dict[str, Any]:
    """What every tensor's survey found, in the tensors' order."""
    return {**(total or {}), name: found}


def settle(total: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """First pass: the leading bits of each source's threshold. Second: the threshold, and how many equal ones stay."""
    scopes: dict[str, dict[str, Any]] = {}
    for name, found in total.items():
        scopes.setdefault(_scope(name, settings), {})[name] = found
    first = "counts" in next(iter(total.values()))
    return {scope: _bucket(parts, settings) if first else _threshold(parts, scope) for scope, parts in scopes.items()}


def _scope(name: str, settings: Mapping[str, Any]) -> str:
    """What a threshold is for: one tensor, or (empty) the whole model."""
    return name if settings["trim_scope"] == "tensor" else ""


def _bucket(parts: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    counts = np.sum([part["counts"] for part in parts.values()], axis=0)
    kept = int(settings["density"] * sum(part["size"] for part in parts.values()))
    above = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    # The class of the k-th largest is the highest one with k or more at or above it.
    bucket = [int(np.flatnonzero(row >= max(kept, 1)).max()) for row in above]
    beyond = [int(row[place + 1]) if place + 1 < row.size else 0 for row, place in zip(above, bucket, strict=True)]
    return {"bucket": np.array(bucket, dtype=np.uint64), "left": kept - np.array(beyond), "kept": kept}


def _threshold(parts: Mapping[str, Any], scope: str) -> dict[str, Any]:
    whole = next(iter(parts.values()))["whole"][scope]
    thresholds: list[float] = []
    equal: dict[tuple[str, int], list[int]] = {
        (name, piece): [] for name, part in parts.items() for piece in part["near"]
    }
    for source, left in enumerate(whole["left"] if whole["kept"] else [0] * len(whole["left"])):
        near = np.sort(np.concatenate([rows[source] for part in parts.values() for rows in part["near"].values()]))[
            ::-1
        ]
        thresholds.append(float(near[left - 1]) if left > 0 else np.inf)
        room = int(left - (near > thresholds[-1]).sum()) if left > 0 else 0
        for name, piece in equal:
            taken = min(room, int((parts[name]["near"][piece][source] == thresholds[-1]).sum()))
            equal[name, piece].append(taken)
            room -= taken
    return {"thresholds": thresholds, "equal": equal}


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    lib = library(unit.x)
    taus = unit.x - unit.base
    trimmed = numbers(taus) * _stays(unit)
    voices = np.sign(trimmed) if unit.settings["election"] == "frequency" else trimmed
    loud = numbers(unit.w) if unit.settings["election_weights"] else np.ones(len(unit.w))
    elected = np.where(np.tensordot(loud, voices, axes=1) < 0, -1.0, 1.0)
    agree = alike(trimmed * elected > 0, unit.base)
    total = sum(unit.w[index] * agree[index] * taus[index] for index in range(len(unit.w)))
    if unit.settings["divisor"] == "weights":
        count = sum(unit.w[index] * agree[index] for index in range(len(unit.w)))
    else:
        count = sum(agree[index] for index in range(len(unit.w)))
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
    """|x_k - base| of all sources, flat: [K, n] float64, whose bits as whole numbers have the same order."""
    return np.abs((numbers(unit.x) - numbers(unit.base)).astype(np.float64)).reshape(len(unit.x), -1)


def _stays(unit: Unit) -> np.ndarray:
    """Which entries survive trimming: [K, *S] booleans. Without a survey the unit is the whole model."""
    taus = _magnitudes(unit)
    if unit.whole is None:
        kept = int(unit.settings["density"] * taus.shape[1])
        return np.stack([_largest(row, kept) for row in taus]).reshape(np.shape(unit.x))
    whole = unit.whole[_scope(unit.name, unit.settings)]
    limits = zip(taus, whole["thresholds"], whole["equal"][unit.name, unit.piece], strict=True)
    return np.stack([_beyond(row, threshold, equal) for row, threshold, equal in limits]).reshape(np.shape(unit.x))


def _largest(row: np.ndarray, kept: int) -> np.ndarray:
    if kept == 0:
        return np.zeros(len(row), dtype=bool)
    threshold = np.partition(row, len(row) - kept)[len(row) - kept]
    return _beyond(row, threshold, kept - int((row > threshold).sum()))


def _beyond(row: np.ndarray, threshold: float, equal: int) -> np.ndarray:
    """Entries above the threshold, and the first `equal` of those at it."""
    stays = row > threshold
    stays[np.flatnonzero(row == threshold)[:equal]] = True
    return stays
