"""Writes and reads the image as a JPEG of low quality: what sending pictures around does.

Pillow, colours subsampled as usual; values are rounded to eight bits.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from transfuse.conditions import Forward, RngOf, each

CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
TRAITS = {"kind": "corruption"}
PARAMETERS = {"level": {"type": "int", "default": 3, "low": 1, "high": 5, "doc": "severity"}}
QUALITIES = (25, 18, 15, 10, 7)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: int,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """Pillow's quality setting by level."""
    quality = QUALITIES[level - 1]

    def sent(image: np.ndarray, item: str) -> np.ndarray:
        pixels = np.round(255 * image.transpose(1, 2, 0)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        with Image.open(file) as opened:
            return np.asarray(opened, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)

    return each(x, ids, sent)
