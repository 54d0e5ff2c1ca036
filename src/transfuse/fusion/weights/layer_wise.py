"""Members are averaged with weights of their own for each layer, given by patterns of tensor names.

    merged = sum_k s_k x_k,   s = v / sum v,   v = the weights of the first pattern that the tensor's name matches

`patterns` are texts like `features.*: 0.2, 0.8`, tried in order (as file names are matched, case counting). A tensor
that none matches gets the members' common weights.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.errors import UserError
from transfuse.fusion.arrays import alike, weighted

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Yang et al., AdaMerging: layer-wise coefficients, ICLR 2024"
PARAMETERS = {
    "patterns": {"type": "list", "default": [], "doc": "texts `PATTERN: WEIGHT, WEIGHT ...`, one weight a member"},
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


def coefficients(unit: Unit) -> np.ndarray:
    """`[K]`."""
    own = _own(unit)
    shares = unit.w if own is None else own
    return shares / shares.sum()


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`. Raises UserError for a pattern that cannot be read or whose weights are wrong."""
    own = _own(unit)
    shares = unit.w if own is None else alike(own, unit.w)
    return weighted(shares / shares.sum(), unit.x)


def reference(unit: Unit) -> Any:
    """The law, entry by entry."""
    own = _own(unit)
    total, count = unit.x[0] * 0.0, 0.0
    for index in range(len(unit.w)):
        share = float(unit.w[index] if own is None else own[index])
        total, count = total + share * unit.x[index], count + share
    return total / count


def _own(unit: Unit) -> np.ndarray | None:
    """The weights of the first pattern that matches, all patterns having been read."""
    read = [_read(text, len(unit.w)) for text in unit.settings["patterns"]]
    return next((weights for pattern, weights in read if fnmatchcase(unit.name, pattern)), None)


def _read(text: Any, count: int) -> tuple[str, np.ndarray]:
    pattern, colon, numbers = str(text).rpartition(":")
    try:
        weights = np.array([float(number) for number in numbers.split(",")])
    except ValueError:
        weights = np.zeros(0)
    if not colon or weights.shape != (count,) or not np.isfinite(weights).all() or abs(weights.sum()) < 1e-12:
        raise UserError(
            "a pattern's weights cannot be read",
            expected=f"`PATTERN: {', '.join(['WEIGHT'] * count)}`, not summing to zero",
            got=repr(text),
        )
    return pattern.strip(), weights
