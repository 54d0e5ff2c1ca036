"""The canvas: the same pixels for everyone, whatever else stands in the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from transfuse.data.canvas import batch, place
from transfuse.data.open import Data, open_data
from transfuse.errors import UserError

SIDES = st.integers(1, 40)


@pytest.fixture(scope="module")
def noise() -> Data:
    rng = np.random.default_rng(0)
    return open_data((rng.integers(0, 256, (40, 28, 28), dtype=np.uint8), rng.integers(0, 3, 40)), Path("."))


@settings(deadline=None, max_examples=30)
@given(st.data(), SIDES, SIDES, st.sampled_from([(), (3,)]), st.integers(1, 33), st.booleans())
def test_every_image_becomes_a_canvas(data, height, width, channels, size, floats):
    raw = data.draw(hnp.arrays(np.uint8, (height, width, *channels)))
    canvas = place((raw / 255).astype(np.float32) if floats else raw, size)
    assert canvas.shape == (3, size, size)
    assert canvas.dtype == np.float32
    assert canvas.min() >= 0 and canvas.max() <= 1


@settings(deadline=None, max_examples=15)
@given(rows=st.lists(st.integers(0, 39), min_size=1, max_size=6), size=st.sampled_from([28, 17, 48]))
def test_a_batch_is_its_rows_alone_to_the_bit(noise, rows, size):
    together = batch(noise, rows, size)
    alone = np.stack([place(noise.raw(row), size) for row in rows])
    assert together.tobytes() == alone.tobytes()


def test_at_its_own_size_nothing_is_resized(noise):
    np.testing.assert_array_equal(place(noise.raw(3), 28), np.stack([noise.raw(3) / np.float32(255)] * 3))


@pytest.mark.parametrize("turned", [False, True])
def test_at_its_own_height_the_middle_is_cut_out(turned):
    raw = np.arange(4 * 9, dtype=np.uint8).reshape(4, 9)
    middle = raw[:, 2:6] / np.float32(255)
    canvas = place(raw.T if turned else raw, 4)
    np.testing.assert_array_equal(canvas[0], middle.T if turned else middle)


def test_white_and_black_are_exact():
    raw = np.array([[[0, 255, 0]]], dtype=np.uint8)
    np.testing.assert_array_equal(place(raw, 5), np.stack([np.full((5, 5), v, np.float32) for v in (0, 1, 0)]))


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (48, 96)])
def test_it_is_resizing_and_then_cropping(shape):
    raw = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    long = max(shape) * 16 // min(shape)
    sides = (16, long) if shape[0] > shape[1] else (long, 16)
    whole = np.asarray(Image.fromarray(raw).resize(sides, Image.Resampling.BILINEAR))
    top, left = (whole.shape[0] - 16) // 2, (whole.shape[1] - 16) // 2
    expected = whole[top : top + 16, left : left + 16].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(place(raw, 16), expected, atol=1.01 / 255)


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    # Interpolation of neighbours alone would pick single stripes and give black or white.
    np.testing.assert_allclose(place(stripes, 8), 0.5, atol=0.05)


def test_float_and_byte_images_agree():
    raw = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_allclose(place((raw / 255).astype(np.float32), 13), place(raw, 13), atol=1.01 / 255)


def test_the_raw_image_is_left_alone():
    raw = np.random.default_rng(3).random((9, 7)).astype(np.float32)
    before = raw.copy()
    place(raw, 7)[...] = 0
    place(raw, 5)[...] = 0
    np.testing.assert_array_equal(raw, before)


def test_an_empty_batch_has_its_shape(noise):
    assert batch(noise, [], 12).shape == (0, 3, 12, 12)


def test_a_canvas_without_pixels_is_refused(noise):
    with pytest.raises(UserError, match="at least one pixel"):
        batch(noise, [0], 0)
