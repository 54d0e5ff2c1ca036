"""Items of several parts as one array: without it what knows of one canvas would have to know of three.

An item with an image, a text and cells of a table, or two of these, lies on one canvas: a row of numbers that begins
by saying what it holds.

    row = (MARK, S, L, K,  image [3·S·S],  text [L],  cells [K])                       [N, 4 + 3·S² + L + K] float32

Bytes are whole numbers, which float32 holds exactly. Every source's door takes its own part; a gradient comes through
to the image. Works on arrays and tensors alike. Torch-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.errors import UserError

MARK = -7.0
HEADER = 4
ORDER = ("image", "text", "columns")


def holds(batch: Any) -> bool:
    """Whether a batch is rows of several parts; an empty one is none."""
    if getattr(batch, "ndim", 0) != 2 or not len(batch) or batch.shape[1] < HEADER:
        return False
    return str(batch.dtype).endswith("float32") and batch[0, 0].item() == MARK


def sizes(batch: Any) -> dict[str, int]:
    """The side of the images, and the lengths of texts and cells; 0 where there are none.

    Raises UserError where rows differ in them, or are not as long as they say.
    """
    heads = batch[:, :HEADER]
    side, text, cells = map(int, heads[0, 1:].tolist())
    if bool((heads != heads[:1]).any()) or batch.shape[1] != HEADER + 3 * side * side + text + cells:
        raise UserError("these rows are not laid out as they say", got=f"{list(batch.shape)}, {side}, {text}, {cells}")
    return dict(zip(ORDER, (side, text, cells), strict=True))


def part(batch: Any, field: str) -> Any:
    """One part: images [N, 3, S, S], or the bytes of texts or cells [N, L], still as floats; None where it is not held.

    A part of a tensor is differentiable.
    """
    found = sizes(batch)
    side = found["image"]
    start = HEADER + (0 if field == "image" else 3 * side * side) + (found["text"] if field == "columns" else 0)
    if not found[field]:
        return None
    if field == "image":
        return batch[:, start : start + 3 * side * side].reshape(len(batch), 3, side, side)
    return batch[:, start : start + found[field]]


def header(parts: Mapping[str, Any]) -> list[float]:
    """What rows of these parts begin with."""
    return [MARK, *(float(parts[field].shape[-1]) if field in parts else 0.0 for field in ORDER)]


def packed(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rows [N, W] float32 of arrays by part: images [N, 3, S, S], bytes [N, L]."""
    given = [parts[field] for field in ORDER if field in parts]
    head = np.tile(np.array(header(parts), dtype=np.float32), (len(given[0]), 1))
    flat = [np.asarray(each, dtype=np.float32).reshape(len(each), -1) for each in given]
    return np.concatenate([head, *flat], axis=1)
