"""The canvas: without it every source would see its own crop, and arms could not be compared on the same pixels.

Each image is placed alone, by Pillow, so what else stands in a batch changes no bit of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from transfuse import fields, packed, texts
from transfuse.data.open import Data
from transfuse.errors import UserError
from transfuse.fields import TEXT


def place(raw: np.ndarray, size: int) -> np.ndarray:
    """One image on the canvas: the shorter side to `size`, bilinear and antialiased, then the centre crop.

    `raw` is `[H, W]` or `[H, W, 3]`, uint8 or float32 in [0, 1]; gives float32 `[3, S, S]` in [0, 1], grey three times.
    Resizing uint8 rounds to eight bits, as viewers do. Nothing is resized where the shorter side is `size` already.
    """
    canvas = np.empty((3, _checked(size), size), dtype=np.float32)
    _place_into(canvas, raw, size)
    return canvas


def batch(data: Data, rows: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
    """The canvases of these rows, float32 `[n, 3, S, S]`; each is `place` of its row, whatever the others are.

    Of texts their bytes, uint8 `[n, S]` with zeros after the end; what does not fit is cut off. Items of several parts
    are rows of all of them (`transfuse.packed`), whose text has a length of its own beside an image.
    """
    if len(fields.parts(data.field)) > 1:
        found = {fields.main(data.field): batch(replace(data, field=fields.main(data.field)), rows, size)}
        for field, raw in data.further.items():
            found[field] = texts.laid([raw(int(row)) for row in rows], data.length(field))
        return packed.packed(found)
    if data.field == TEXT:
        return texts.laid([data.raw(int(row)) for row in rows], _checked(size))
    canvases = np.empty((len(rows), 3, _checked(size), size), dtype=np.float32)
    for canvas, row in zip(canvases, rows, strict=True):
        _place_into(canvas, data.raw(int(row)), size)
    return canvases


def _checked(size: int) -> int:
    if size < 1:
        raise UserError("canvas size must be at least one pixel", got=str(size))
    return size


def _place_into(canvas: np.ndarray, raw: np.ndarray, size: int) -> None:
    square = _square(raw, size)
    pixels = square if square.ndim == 2 else square.transpose(2, 0, 1)
    canvas[...] = pixels / np.float32(255) if pixels.dtype == np.uint8 else pixels


def _square(raw: np.ndarray, size: int) -> np.ndarray:
    """`[S, S]` or `[S, S, 3]` in the type of `raw`."""
    height, width = raw.shape[:2]
    side = min(height, width)
    if side == size:
        top, left = (height - side) // 2, (width - side) // 2
        return raw[top : top + side, left : left + side]
    box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    if raw.dtype == np.uint8:
        return _resize(raw, size, box)
    # Pillow holds floats one channel at a time; interpolation may leave [0, 1] by a rounding.
    planes = [raw] if raw.ndim == 2 else [raw[..., channel] for channel in range(3)]
    resized = [np.clip(_resize(np.ascontiguousarray(plane, dtype=np.float32), size, box), 0, 1) for plane in planes]
    return resized[0] if raw.ndim == 2 else np.stack(resized, axis=-1)


def _resize(pixels: np.ndarray, size: int, box: tuple[float, float, float, float]) -> np.ndarray:
    # Resizing only the central square is the same as resizing all and cropping, without rounding the long side.
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, box=box))
