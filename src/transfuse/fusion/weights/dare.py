"""Most of what each source learned is dropped at random, and the rest is scaled up so that its mean stays.

    kept_k ~ Bernoulli(density),   tau_k = kept_k (x_k - base) / density
    merged = base + scale sum_k w_k tau_k        x [K, *S], w [K], base [*S] -> [*S]

Unbiased: the expectation over draws is task arithmetic. Draws are keyed by seed and tensor name, each source has its
own, so the order of tensors and threads changes nothing; density 1 drops nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import alike, library, numbers, weighted

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Yu et al., Language models are super mario (DARE), ICML 2024"
PARAMETERS = {
    "density": {"type": "float", "default": 0.5, "low": 1e-4, "high": 1.0, "doc": "share that is kept"},
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
    "stochastic": True,
    "needs_base": True,
    "weights": "scales",
}


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    w, kept, taus = unit.settings["scale"] / unit.settings["density"] * unit.w, _kept(unit), unit.x - unit.base
    return unit.base + weighted(w, taus * (kept if library(taus) is np else alike(kept, unit.base)))


def reference(unit: Unit) -> Any:
    """The law, entry by entry."""
    kept, merged = _kept(unit), numbers(unit.base) * 1.0
    for index in np.ndindex(merged.shape):
        for source in range(len(unit.w)):
            if kept[(source, *index)]:
                tau = unit.x[(source, *index)] - unit.base[index]
                merged[index] += unit.settings["scale"] * unit.w[source] * tau / unit.settings["density"]
    return merged


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
