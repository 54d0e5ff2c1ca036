"""Foreign images: every mode comes out right, and nothing harmful or torn comes through."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from transfuse.errors import UnsafeFileError, UserError
from transfuse.files import images

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixel."""
    facts = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(13, b"IHDR" + facts), (0, b"IDAT")]
    parts = [struct.pack(">I", size) + chunk + struct.pack(">I", zlib.crc32(chunk)) for size, chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@settings(deadline=None, max_examples=20)
@given(hnp.arrays(np.uint8, st.sampled_from([(5, 7), (1, 1), (4, 6, 3)])))
def test_lossless_grey_and_colour_come_back_exactly(pixels):
    np.testing.assert_array_equal(images.decode(encoded(Image.fromarray(pixels)), "x"), pixels)


def test_transparency_is_laid_on_white():
    image = Image.new("RGBA", (3, 1), (*RED, 255))
    image.putpixel((1, 0), (*RED, 0))
    image.putpixel((2, 0), (0, 0, 0, 51))
    assert images.decode(encoded(image), "x").tolist() == [[list(RED), list(WHITE), [204, 204, 204]]]


def test_grey_with_opacity_is_laid_on_white():
    decoded = images.decode(encoded(Image.new("LA", (1, 1), (0, 0))), "x")
    assert decoded.tolist() == [[list(WHITE)]]


@pytest.mark.parametrize("transparent", [False, True])
def test_palette_colours_are_looked_up(transparent):
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, *RED])
    data = encoded(image, transparency=1) if transparent else encoded(image)
    assert images.decode(data, "x").tolist() == [[list(WHITE if transparent else RED)]]


def test_sixteen_bits_are_kept():
    wide = np.array([[0, 1, 32768, 65535]], dtype=np.uint16)
    decoded = images.decode(encoded(Image.fromarray(wide)), "x")
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, wide / 65535, atol=1e-7)


def test_cmyk_becomes_rgb():
    decoded = images.decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100), "x")
    assert decoded.shape == (8, 8, 3)
    np.testing.assert_allclose(decoded[4, 4], RED, atol=6)


def test_one_bit_images_are_black_and_white():
    assert images.decode(encoded(Image.new("1", (1, 1), 1)), "x").tolist() == [[255]]


@pytest.mark.parametrize(("turn", "turned"), [(3, 2), (6, -1), (8, 1)])
def test_exif_rotation_is_applied(turn, turned):
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    exif = Image.Exif()
    exif[0x0112] = turn
    decoded = images.decode(encoded(Image.fromarray(pixels), exif=exif), "x")
    np.testing.assert_array_equal(decoded, np.rot90(pixels, turned))


def test_float_tiff_is_read_and_nan_in_it_refused():
    good = np.array([[0.0, 0.25, 1.0]], dtype=np.float32)
    np.testing.assert_array_equal(images.decode(encoded(Image.fromarray(good), "TIFF"), "x"), good)
    with pytest.raises(UserError, match="NaN"):
        images.decode(encoded(Image.fromarray(good * np.float32(np.nan)), "TIFF"), "x")


@pytest.mark.parametrize("size", [(8_001, 8_000), (10_000, 10_000), (100_000, 100_000)])
def test_a_bomb_is_refused_by_its_header(size):
    with pytest.raises(UnsafeFileError, match="too many pixels"):
        images.check_header(png_header(*size), "bomb.png")


def test_the_limit_itself_is_allowed():
    assert images.check_header(png_header(8_000, 8_000), "x") == (8_000, 8_000)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_image_is_refused_by_name(data):
    with pytest.raises(UserError, match=r"not an image[\s\S]*odd\.png"):
        images.check_header(data, "odd.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_torn_file_passes_the_header_and_fails_the_decoding(tmp_path: Path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), kind)
    path = tmp_path / f"torn.{kind.lower()}"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert images.check_header(path.read_bytes(), "x") == (64, 64)
    with pytest.raises(UserError, match=rf"damaged or cut short[\s\S]*torn\.{kind.lower()}"):
        images.read_image(path)


def test_an_absent_file_is_one_clean_message(tmp_path: Path):
    with pytest.raises(UserError, match="not found"):
        images.read_image(tmp_path / "absent.png")


@settings(deadline=None, max_examples=20)
@given(hnp.arrays(np.uint8, (2, 5, 6, 3)))
def test_channels_first_and_last_give_the_same(pixels):
    np.testing.assert_array_equal(images.stack(np.moveaxis(pixels, 3, 1), "x"), images.stack(pixels, "x"))


def test_four_channels_agree_with_the_file_path():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    np.testing.assert_array_equal(images.from_array(pixels, "x"), images.decode(encoded(Image.fromarray(pixels)), "x"))
    as_floats = images.from_array(pixels / 255, "x")
    np.testing.assert_allclose(as_floats, images.from_array(pixels, "x") / 255, atol=0.5 / 255 + 1e-6)


def test_one_channel_becomes_grey():
    assert images.from_array(np.zeros((1, 5, 6), np.uint8), "x").shape == (5, 6)


def test_floats_become_float32_and_the_input_stays():
    given_pixels = np.array([[[-1e-9, 0.5, 1 + 1e-9]]])
    before = given_pixels.copy()
    assert images.stack(given_pixels, "x").tolist() == [[[0.0, 0.5, 1.0]]]
    np.testing.assert_array_equal(given_pixels, before)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((1, 2, 2), np.nan), "NaN"),
        (np.full((1, 2, 2), np.inf), "infinity"),
        (np.full((1, 2, 2), 255.0), r"\[0, 1\]"),
        (np.full((1, 2, 2), -0.1), r"\[0, 1\]"),
        (np.ones((1, 2, 2), np.int64), "no known scale"),
        (np.zeros((1, 0, 2), np.uint8), "no pixels"),
        (np.zeros((1, 4), np.uint8), "not a stack of images"),
        (np.zeros((1, 3, 5, 3), np.uint8), "which axis"),
        (np.zeros((1, 5, 5, 2), np.uint8), "no axis"),
    ],
)
def test_pixels_without_a_clear_meaning_are_refused(pixels, message):
    with pytest.raises(UserError, match=message):
        images.stack(pixels, "x")
