"""Small pictures of items for a report; without them a reader would have to look up by name what changed."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

LARGEST_PIXELS = 96
EXACT_PIXELS = 64
QUALITY = 80


def thumbnail(raw: Any) -> str | None:
    """An item's pixels as a `data:` address: PNG where both sides have at most 64 pixels, else JPEG of at most 96.

    `raw` is `[H, W]` or `[H, W, 3]`, uint8 or float in [0, 1]. Never enlarged. None for what is no picture.
    """
    if (
        not isinstance(raw, np.ndarray)
        or raw.ndim not in (2, 3)
        or (raw.ndim == 3 and raw.shape[2] != 3)
        or not raw.size
    ):
        return None
    pixels = raw if raw.dtype == np.uint8 else np.rint(np.clip(np.nan_to_num(raw), 0.0, 1.0) * 255).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    exact = max(picture.size) <= EXACT_PIXELS
    buffer = io.BytesIO()
    if exact:
        picture.save(buffer, "PNG", optimize=True)
    else:
        picture.thumbnail((LARGEST_PIXELS, LARGEST_PIXELS), Image.Resampling.LANCZOS)
        picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    kind = "png" if exact else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
