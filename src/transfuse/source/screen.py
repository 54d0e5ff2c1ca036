"""Numbers of a source that no training leaves behind; without it damage and crude tampering would look like weights.

A screen of each tensor alone: no network is built, nothing is compared with what the weights should be. It finds broken
files, forgotten scales and units written over. It does not find a backdoor, whose weights look like any other.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from transfuse.source.weights import Reader

# Of trained image networks the loudest unit is up to 7 times the median, the largest weight up to 16 times the whole.
LOUD_UNIT, LOUD_WEIGHT = 30.0, 100.0
# Networks trained with decay leave up to a quarter of a layer's units at zero.
DEAD_SHARE = 0.5
SMALLEST_LAYER = 8
FLOATS = ("F16", "BF16", "F32", "F64")
SHOWN = 5
LIMITS = "a screen for damage and crude changes; it does not find a backdoor"


def screen(tensors: Iterable[tuple[str, np.ndarray]]) -> list[str]:
    """What is unusual, one sentence a tensor, in their order; empty where all is as trained networks are."""
    found = (_unusual(name, np.asarray(array)) for name, array in tensors)
    return [sentence for sentence in found if sentence]


def screened(reader: Reader) -> list[str]:
    """`screen` of a weight file, tensor by tensor."""
    floats = (name for name in reader.names() if reader.meta(name)[1] in FLOATS)
    return screen((name, reader.read(name)) for name in floats)


def told(sentences: list[str]) -> str:
    """The first few sentences and how many there are more; empty for none."""
    more = f"; and {len(sentences) - SHOWN} more tensors" if len(sentences) > SHOWN else ""
    return "; ".join(sentences[:SHOWN]) + more


def _unusual(name: str, array: np.ndarray) -> str:
    if array.dtype.kind != "f" or not array.size:
        return ""
    if not np.isfinite(array).all():
        return f"'{name}' holds {'NaN' if np.isnan(array).any() else 'infinity'}"
    if name.endswith("running_var") and (array < 0).any():
        return f"'{name}' holds negative variances"
    if array.ndim < 2 or len(array) < SMALLEST_LAYER:
        return ""
    rows = array.reshape(len(array), -1)
    # Summed in float64 without a copy in it: an embedding may hold hundreds of megabytes.
    units = np.sqrt(np.einsum("nk,nk->n", rows, rows, dtype=np.float64) / rows.shape[1])
    whole = float(np.sqrt(np.square(units).mean()))
    live = units > 1e-6 * whole
    if whole == 0 or live.mean() <= 1 - DEAD_SHARE:
        return f"{int((~live).sum())} of {len(units)} units of '{name}' are zero"
    loudest = float(units.max() / np.median(units[live]))
    if loudest > LOUD_UNIT:
        return f"unit {int(units.argmax())} of '{name}' is {loudest:.0f} times as large as its neighbours"
    # One weight alone hides in a unit of thousands: it is measured against the others of the whole tensor.
    largest = float(np.abs(array).max())
    rest = float(np.sqrt(max(whole**2 * array.size - largest**2, 0.0) / max(array.size - 1, 1)))
    if largest > LOUD_WEIGHT * rest > 0:
        return f"one weight of '{name}' is {largest / rest:.0f} times as large as the others"
    return f"all weights of '{name}' are the same" if array.size > 1 and float(np.ptp(array)) == 0 else ""
