"""Lists in place of arrays, among data given in Python: without it `x.tolist()` would be told as an unknown key.

Lists of one shape become arrays before anything else sees them. Whole numbers from 0 to 255 that reach 64 somewhere can
only be grey values and become uint8; other whole numbers keep their type, which is refused where pixels are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.data.readers.arrays import MEMORY, NAMES
from transfuse.errors import UserError

DARKEST_FULL_SCALE = 64
BRIGHTEST = 255
FORM = "numbers [N, H, W], [N, H, W, C] or [N, C, H, W], as nested lists of one shape or as an array"
INSIDE = ("read", "extra")


def in_arrays(data: Any) -> Any:
    """The same data with arrays for lists, in `(X, y)` and `{x: X, y: y}`, also under `read` and in every set of
    `extra`; everything else as it is.

    Raises UserError for lists of images that are no numbers or not of one shape.
    """
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], list):
        return _pixels(data[0]), data[1]
    if not isinstance(data, Mapping):
        return data
    pixels = [name for name in NAMES["x"] if isinstance(data.get(name), list)]
    inside = [name for name in INSIDE if isinstance(data.get(name), Mapping | tuple)]
    beside = [name for role in NAMES for name in NAMES[role] if role != "x" and isinstance(data.get(name), list)]
    made = (
        dict(data) | {name: _pixels(data[name]) for name in pixels} | {name: in_arrays(data[name]) for name in inside}
    )
    if "extra" in inside:
        made["extra"] = {name: in_arrays(entry) for name, entry in data["extra"].items()}
    # What is said beside images in memory only: `classes: [a, b]` elsewhere belongs to others.
    told = any(hasattr(made.get(name), "shape") for name in NAMES["x"])
    return made | ({name: _array(data[name]) for name in beside} if told else {})


def _array(values: list[Any]) -> Any:
    try:
        return np.asarray(values)
    except (TypeError, ValueError):
        # Told where it is read, by what it is.
        return values


def _pixels(values: list[Any]) -> np.ndarray:
    """A list of images as an array. Raises UserError, with what is expected."""
    array = _array(values)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim < 2:
        got = "rows of different lengths" if isinstance(array, list) else f"{array.dtype} {list(array.shape)}"
        texts = isinstance(array, np.ndarray) and array.dtype.kind == "U"
        hint = "texts are read from a table with a column 'text': data='FILE.csv'" if texts else None
        raise UserError("these lists are no images", where=MEMORY, expected=FORM, got=got, hint=hint)
    whole = array.dtype.kind in "iu" and array.size > 0
    if whole and array.min() >= 0 and DARKEST_FULL_SCALE <= array.max() <= BRIGHTEST:
        return array.astype(np.uint8)
    return array
