"""Safe reading of strangers' images: without it a bomb, a torn file or a rotated photo would reach a network.

Every image comes out as `[H, W]` or `[H, W, 3]`, uint8, or float32 in [0, 1] where eight bits would lose something.
Traps closed here: sizes are checked in the header before a pixel is decoded; only formats decoded inside Pillow are
tried (EPS would start another program); the EXIF rotation is applied; transparency is laid on white.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from transfuse.errors import UnsafeFileError, UserError, first_line

MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 1 << 30
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
# What Pillow's decoders raise on damaged bytes; there is no common parent.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)
FLOAT_SLACK = 1e-6


def read_bytes(path: Path) -> bytes:
    """The bytes of an image file; errors: absent, a folder, larger than `MAX_FILE_BYTES`."""
    try:
        if path.exists() and not path.is_file():
            raise UserError("this is no image file", where=str(path), got="a folder" if path.is_dir() else "a device")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UnsafeFileError("image file too large", where=str(path), expected=f"at most {MAX_FILE_BYTES} bytes")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError("image file not found", where=str(path)) from error
    except OSError as error:
        raise UserError("image file cannot be read", where=str(path), got=str(error)) from error


def check_header(data: bytes, where: str) -> tuple[int, int]:
    """Width and height of encoded image bytes, from the header alone; refuses what is no image, and bombs."""
    return _open(data, where).size


def decode(data: bytes, where: str) -> np.ndarray:
    """Encoded image bytes, wholly decoded and upright: `[H, W]` or `[H, W, 3]`, uint8 or float32 in [0, 1].

    Errors name `where`: not an image, torn, more than `MAX_PIXELS`, float pixels that are not finite or not in [0, 1].
    """
    return from_pillow(_open(data, where), where)


def read_image(path: Path) -> np.ndarray:
    """`decode` of a file."""
    return decode(read_bytes(path), str(path))


def from_pillow(image: Image.Image, where: str) -> np.ndarray:
    """A Pillow image in any mode as pixels: the rotation applied, transparency on white, CMYK as RGB, 16 bits kept."""
    _check_size(image.size, where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _pixels(upright, where)
        except DAMAGE as error:
            raise UserError("image is damaged or cut short", where=where, got=first_line(error)) from error


def stack(array: Any, where: str) -> np.ndarray:
    """Images `[N, H, W]`, or with 1, 3 or 4 channels first or last, as `[N, H, W]` or `[N, H, W, 3]`.

    uint8 stays; floats must be finite and in [0, 1] and become float32; booleans become 0 and 1. Other numbers are
    refused, for their scale cannot be known. The fourth channel is opacity and is laid on white.
    """
    pixels = _numbers(np.asarray(array), where)
    if pixels.ndim == 3:
        return pixels
    if pixels.ndim != 4:
        raise UserError(
            "not a stack of images",
            where=where,
            expected="[N, H, W], or [N, H, W, C] or [N, C, H, W] with 1, 3 or 4 channels",
            got=f"shape {list(pixels.shape)}",
            hint="reshape flat rows first, e.g. x.reshape(-1, 28, 28)" if pixels.ndim == 2 else None,
        )
    first, last = (pixels.shape[axis] in (1, 3, 4) for axis in (1, 3))
    if first == last:
        raise UserError(
            "cannot tell which axis holds the channels" if first else "no axis holds 1, 3 or 4 channels",
            where=where,
            got=f"shape {list(pixels.shape)}",
        )
    pixels = np.moveaxis(pixels, 1, 3) if first else pixels
    if pixels.shape[3] == 1:
        return pixels[..., 0]
    return _on_white(pixels) if pixels.shape[3] == 4 else pixels


def from_array(array: Any, where: str) -> np.ndarray:
    """`stack` of a single image, `[H, W]`, `[H, W, C]` or `[C, H, W]`."""
    return stack(np.asarray(array)[None], where)[0]


def _open(data: bytes, where: str) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _too_large(where, first_line(error)) from error
        except DAMAGE as error:
            got = "an empty file" if not data else None
            expected = "an image file: " + ", ".join(FORMATS)
            raise UserError("not an image that can be read", where=where, expected=expected, got=got) from error
    _check_size(image.size, where)
    return image


def _check_size(size: tuple[int, int], where: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _too_large(where, f"{width} x {height} pixels")
    if width * height == 0:
        raise UserError("image has no pixels", where=where, got=f"{width} x {height}")


def _too_large(where: str, got: str) -> UnsafeFileError:
    limit = f"at most {MAX_PIXELS // 1_000_000} megapixels"
    return UnsafeFileError("image refused before decoding: too many pixels", where=where, expected=limit, got=got)


def _pixels(image: Image.Image, where: str) -> np.ndarray:
    mode = image.mode
    if mode in ("L", "RGB"):
        return np.asarray(image)
    if mode == "1":
        return np.asarray(image.convert("L"))
    if mode == "F":
        return from_array(np.asarray(image), where)
    if mode == "I" or mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise UserError("grey values beyond 16 bits have no known scale", where=where, got=f"up to {wide.max()}")
        return (wide / 65535).astype(np.float32)
    if image.has_transparency_data:
        return _on_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _numbers(array: np.ndarray, where: str) -> np.ndarray:
    if array.size == 0:
        raise UserError("image has no pixels", where=where, got=f"shape {list(array.shape)}")
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise UserError(
            f"pixels of type {array.dtype} have no known scale",
            where=where,
            expected="uint8 (0 to 255) or floats in [0, 1]",
            hint="x.astype('uint8') if they are 0 to 255, else divide by their maximum",
        )
    low, high = float(array.min()), float(array.max())
    if not np.isfinite(low + high):
        raise UserError("pixels hold NaN or infinity", where=where)
    if low < -FLOAT_SLACK or high > 1 + FLOAT_SLACK:
        raise UserError(
            "float pixels must lie in [0, 1]",
            where=where,
            got=f"{low:g} to {high:g}",
            hint="divide by 255, or give images as they are before Normalize",
        )
    return np.clip(array, 0, 1).astype(np.float32)


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """`[..., 4]` with straight opacity as `[..., 3]` on white, in the same type."""
    scale = 255.0 if pixels.dtype == np.uint8 else 1.0
    opacity = pixels[..., 3:].astype(np.float32) / scale
    laid = pixels[..., :3] * opacity + scale * (1 - opacity)
    return np.rint(laid).astype(np.uint8) if pixels.dtype == np.uint8 else laid.astype(np.float32)
