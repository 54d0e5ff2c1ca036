"""Two sources are joined along the great circle between their directions, tensor by tensor.

    angle  = arccos( <x_0, x_1> / |x_0| |x_1| ),   t = w_1 / (w_0 + w_1)
    merged = [ sin((1 - t) angle) x_0 + sin(t angle) x_1 ] / sin(angle)        x [2, *S] -> [*S]

Where the directions are nearly the same (cosine above `parallel`) or one tensor is zero, the straight line
(1 - t) x_0 + t x_1 is taken, which is the limit. Nearly opposite directions have no one great circle: they are refused,
since the straight line would pass through zero. Lengths are not restored. A tensor with one number is a straight line.
`edges: mergekit` takes the straight line between opposite directions too, and the quarter circle's coefficients where
one tensor is zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.errors import UserError
from transfuse.fusion.arrays import library, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transfuse.fusion.contract import Unit

CITATION = "Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985"
PARAMETERS = {
    "parallel": {"type": "float", "default": 0.9995, "low": 0.5, "high": 1.0, "doc": "cosine that counts as parallel"},
    "edges": {
        "type": "str",
        "default": "limit",
        "options": ("limit", "mergekit"),
        "doc": "what becomes of opposite directions and of zero tensors",
    },
}
TRAITS = {
    "idempotent": True,
    "symmetric": True,
    "one_hot": True,
    "shift": False,
    "scale": True,
    "per_tensor": True,
    "elementwise": True,
    "stochastic": False,
    "needs_base": False,
    "members": 2,
}
SURVEYS = (1,)


def survey(unit: Unit, found: np.ndarray | None) -> np.ndarray:
    """<x_0, x_0>, <x_1, x_1>, <x_0, x_1> and the number of entries; in float64, because rounding near ±1 decides."""
    a, b = numbers(unit.x).astype(np.float64, copy=False).reshape(2, -1)
    # numpy's own loop: a linear algebra library's threads cost many times the sums where others work, and change bits.
    sums = np.array([*(np.einsum("n,n->", one, other) for one, other in ((a, a), (b, b), (a, b))), a.size])
    return sums if found is None else found + sums


def gather(total: dict[str, np.ndarray] | None, name: str, found: np.ndarray) -> dict[str, np.ndarray]:
    """The sums of every tensor."""
    return {**(total or {}), name: found}


def settle(total: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Nothing is left to do."""
    return total


def coefficients(unit: Unit) -> np.ndarray:
    """`[2]`. Raises UserError for opposite directions."""
    return np.array(_shares(unit))


def merge(unit: Unit) -> Any:
    """`[2, *S] -> [*S]`. Raises UserError for opposite directions."""
    first, second = _shares(unit)
    return first * unit.x[0] + second * unit.x[1]


def _shares(unit: Unit) -> tuple[Any, Any]:
    """What each of the two is multiplied by."""
    t = unit.w[1] / (unit.w[0] + unit.w[1])
    sums = survey(unit, None) if unit.whole is None else unit.whole[unit.name]
    cosine, theirs = _cosine(sums), unit.settings["edges"] == "mergekit"
    if theirs and cosine is None:
        cosine = 0.0
    if theirs and abs(cosine or 0.0) > unit.settings["parallel"]:
        return 1 - t, t
    if cosine is None or cosine > unit.settings["parallel"] or (sums[3] == 1 and not theirs):
        return 1 - t, t
    if cosine < -unit.settings["parallel"]:
        raise UserError(
            "two tensors point in opposite directions, so there is no way between them but through zero",
            where=f"tensor '{unit.name}'",
            got=f"cosine {cosine:.6f}",
            hint="merge with weights/mean, or check that both sources start from the same weights",
        )
    lib, angle = library(unit.w), float(np.arccos(cosine))
    return lib.sin((1 - t) * angle) / np.sin(angle), lib.sin(t * angle) / np.sin(angle)


def reference(unit: Unit) -> Any:
    """The law by turning the first direction towards the second within their plane."""
    if len(unit.x) == 1 or numbers(unit.x).size == 2:
        return merge(unit)
    first, second = (np.asarray(tensor, dtype=np.float64).ravel() for tensor in (unit.x[0], unit.x[1]))
    t = float(unit.w[1] / (unit.w[0] + unit.w[1]))
    along = first / np.linalg.norm(first)
    unit_second = second / np.linalg.norm(second)
    across = unit_second - (unit_second @ along) * along
    across = across / np.linalg.norm(across)
    angle = np.arctan2(unit_second @ across, unit_second @ along)
    # In the basis (x_0, x_1) the point at share t of the arc between unit vectors has these coefficients.
    b = np.sin(t * angle) / np.sin(angle)
    a = np.cos(t * angle) - b * np.cos(angle)
    return (a * first + b * second).reshape(np.shape(unit.x[0]))


def _cosine(sums: np.ndarray) -> float | None:
    """None where a tensor is zero."""
    lengths = float(np.sqrt(sums[0]) * np.sqrt(sums[1]))
    return float(np.clip(sums[2] / lengths, -1.0, 1.0)) if lengths else None
