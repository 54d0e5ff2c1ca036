"""Thumbnails are small, never enlarged, exact where the picture is small, and none of what is no picture."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from transfuse.data.thumbnail import LARGEST_PIXELS, thumbnail


def opened(address: str | None) -> Image.Image:
    assert address is not None
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1])))


@pytest.mark.parametrize("shape", [(28, 28), (20, 30, 3)])
def test_a_small_picture_is_kept_to_the_pixel(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for raw in (pixels, pixels.astype(np.float32) / 255):
        found = opened(thumbnail(raw))
        assert found.format == "PNG"
        assert np.array_equal(np.asarray(found), pixels)


def test_a_large_picture_is_shrunk_in_its_own_proportions() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (400, 800, 3), dtype=np.uint8)
    address = thumbnail(raw)
    found = opened(address)
    assert (found.format, found.size) == ("JPEG", (LARGEST_PIXELS, LARGEST_PIXELS // 2))
    assert len(address or "") < 8_000
    assert thumbnail(raw) == address


@pytest.mark.parametrize("raw", ["text", None, np.zeros(7), np.zeros((3, 4, 2)), np.zeros((0, 4))])
def test_what_is_no_picture_has_none(raw: object) -> None:
    assert thumbnail(raw) is None


def test_numbers_out_of_range_are_clipped() -> None:
    found = np.asarray(opened(thumbnail(np.array([[-1.0, 2.0], [np.nan, 0.5]]))))
    assert found.tolist() == [[0, 255], [0, 128]]
