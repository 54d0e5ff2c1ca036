"""Most of what each source learned is dropped at random, and the rest is scaled up so that its mean stays.

    kept_k ~ Bernoulli(density),   tau_k = kept_k (x_k - base) / density
    merged = base + scale sum_k w_k tau_k        x [K, *S], w [K], base [*S] -> [*S]

Unbiased: the expectation over draws is task arithmetic. Draws are keyed by seed and tensor name, each source has its
own, so the order of tensors and threads changes nothing; density 1 drops nothing. `rescale: l1` is mergekit's other
factor, which brings what is left of each source's tensor back to the sum of magnitudes it had (nothing left stays
nothing), and `rescale: none` its `rescale: false`, without any factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import alike, library, numbers, weighted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transfuse.fusion.contract import Unit

CITATION = "Yu et al., Language models are super mario (DARE), ICML 2024"
PARAMETERS = {
    "density": {"type": "float", "default": 0.5, "low": 1e-4, "high": 1.0, "doc": "share that is kept"},
    "rescale": {
        "type": "str",
        "default": "density",
        "options": ("density", "l1", "none"),
        "doc": "what makes up for what is dropped",
    },
    "scale": {"type": "float", "default": 1.0, "low": -100.0, "high": 100.0, "doc": "factor of all that is added"},
}
TRAITS = {
    "idempotent": False,
    "symmetric": False,
    "one_hot": False,
    "shift": True,
    "scale": True,
    "per_tensor": True,
    "elementwise": True,
    "float32": True,
    "stochastic": True,
    "needs_base": True,
    "weights": "scales",
}


BLOCK = 16_384


def surveys(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Sums of magnitudes are those of whole tensors; nothing else is asked of them."""
    return (1,) if settings["rescale"] == "l1" else ()


def survey(unit: Unit, found: np.ndarray | None) -> np.ndarray:
    """Each source's sum of magnitudes, before and after the drop: [2, K]."""
    sums = _sums(unit, _kept(unit))
    return sums if found is None else found + sums


def gather(total: dict[str, np.ndarray] | None, name: str, found: np.ndarray) -> dict[str, np.ndarray]:
    """The sums of every tensor."""
    return {**(total or {}), name: found}


def settle(total: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Nothing is left to do."""
    return total


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    kept = _kept(unit)
    factors = _factors(unit, kept)
    w = unit.settings["scale"] * unit.w * (alike(factors, unit.w) if isinstance(factors, np.ndarray) else factors)
    if library(unit.x) is not np:
        return unit.base + weighted(w, (unit.x - unit.base) * alike(kept, unit.base))
    flat, base, kept = unit.x.reshape(len(w), -1), unit.base.reshape(-1), kept.reshape(len(w), -1)
    return _added(flat, base, kept, w).reshape(unit.base.shape)


def _added(x: np.ndarray, base: np.ndarray, kept: np.ndarray, w: np.ndarray) -> np.ndarray:
    """base + sum_k w_k kept_k (x_k - base): x and kept [K, n], base [n], w [K] -> [n], in blocks that stay cached."""
    merged = np.zeros(base.size)
    scratch = np.empty(min(BLOCK, base.size))
    same = bool((w == w[0]).all())
    for begin in range(0, base.size, BLOCK):
        part = slice(begin, min(begin + BLOCK, base.size))
        tau = scratch[: part.stop - begin]
        for row, stays, share in zip(x, kept, w, strict=True):
            np.subtract(row[part], base[part], out=tau, dtype=np.float64)
            np.multiply(tau, stays[part], out=tau)
            if not same:
                np.multiply(tau, share, out=tau)
            np.add(merged[part], tau, out=merged[part])
        if same:
            np.multiply(merged[part], w[0], out=merged[part])
        np.add(merged[part], base[part], out=merged[part])
    return merged


def reference(unit: Unit) -> Any:
    """The law, entry by entry."""
    kept, merged = _kept(unit), numbers(unit.base) * 1.0
    for index in np.ndindex(merged.shape):
        for source in range(len(unit.w)):
            if kept[(source, *index)]:
                tau = unit.x[(source, *index)] - unit.base[index]
                merged[index] += unit.settings["scale"] * unit.w[source] * tau / unit.settings["density"]
    return merged


def _factors(unit: Unit, kept: np.ndarray) -> Any:
    """What makes up for what is dropped: a number, or one a source, [K]."""
    if unit.settings["rescale"] != "l1":
        return 1.0 if unit.settings["rescale"] == "none" else 1.0 / unit.settings["density"]
    before, after = _sums(unit, kept) if unit.whole is None else unit.whole[unit.name]
    return np.divide(before, after, out=np.ones(len(after)), where=after > 0)


def _sums(unit: Unit, kept: np.ndarray) -> np.ndarray:
    sizes = np.abs(np.subtract(numbers(unit.x), numbers(unit.base), dtype=np.float64)).reshape(len(unit.x), -1)
    return np.stack([sizes.sum(axis=1), (sizes * kept.reshape(sizes.shape)).sum(axis=1)])


def _kept(unit: Unit) -> np.ndarray:
    """Which entries stay: [K, *S] of booleans. Sixteen bits decide, and where they lie on the edge, further ones."""
    shape = np.shape(unit.x)
    size = int(np.prod(shape))
    edge = unit.settings["density"] * 65_536
    bits = unit.rng.bit_generator.random_raw(-(-size // 4)).view(np.uint16)[:size]
    kept = bits < int(edge)
    if int(edge) < 65_536:
        close = np.flatnonzero(bits == int(edge))
        kept[close] = unit.rng.random(close.size) < edge - int(edge)
    return kept.reshape(shape)
