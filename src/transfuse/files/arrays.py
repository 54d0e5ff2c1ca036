"""Safe reading of strangers' arrays, npy, npz and IDX: without it a few bytes could run code or fill the memory.

Nothing is unpickled, and no buffer is made before its size is known from a header and agrees with the file.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from transfuse.errors import UnsafeFileError, UserError, first_line

MAX_BYTES = 4 << 30
# Real arrays shrink to a tenth, masks to a hundredth; what unfolds a thousandfold is made to fill memory.
FREE_BYTES, LARGEST_RATIO = 64 << 20, 200
LARGEST_DEFLATION = 1032
IDX_UBYTE = 8
LAST_CHARACTER = 0x10FFFF
DAMAGE = (
    OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, struct.error, NotImplementedError, RuntimeError,
)  # fmt: skip
# What numpy's reader of headers, which parses them as Python text, raises on bytes that are none.
NO_HEADER = (*DAMAGE, SyntaxError, TypeError, LookupError, OverflowError, tokenize.TokenError)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file by name, sorted.

    Errors: absent, not an npz, Python objects inside (they would be unpickled), sizes that disagree, above `MAX_BYTES`.
    """
    where = str(path)
    if not path.is_file():
        raise UserError("file not found", where=where)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if not members or len(members) != len(archive.infolist()):
                raise UserError("not an npz file of arrays only", where=where, got=f"{len(members)} arrays")
            _refuse_bomb(members, path)
            return {info.filename[:-4]: _member(archive, info, where) for info in sorted(members, key=_name)}
    except DAMAGE as error:
        raise UserError("npz file is damaged, or no npz file", where=where, got=first_line(error)) from error


def read_npy(path: Path) -> np.ndarray:
    """The array of an npy file. Errors: as for npz."""
    where = str(path)
    if not path.is_file():
        raise UserError("file not found", where=where)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UnsafeFileError("npy refused before reading: too large", where=where, expected=_limit(), got=str(size))
    try:
        return _array(lambda: path.open("rb"), size, where)
    except DAMAGE as error:
        raise UserError("npy file is damaged, or no npy file", where=where, got=first_line(error)) from error


def read_idx(path: Path) -> np.ndarray:
    """The array of bytes in an IDX file (as MNIST uses), `.gz` or not.

    Layout: two zero bytes, the type (8 = unsigned byte), the number of axes, each axis as a big-endian 32-bit number,
    then the values. Errors: absent, other types, a header that disagrees with the length, above `MAX_BYTES`.
    Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits (1998).
    """
    if not path.is_file():
        raise UserError("file not found", where=str(path))
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as handle:
            shape = _idx_shape(handle, str(path))
            size = math.prod(shape)
            _refuse_lie(size, path, packed=packed)
            values = handle.read(size)
            surplus = handle.read(1)
    except DAMAGE as error:
        raise UserError("IDX file is damaged", where=str(path), got=first_line(error)) from error
    if len(values) != size or surplus:
        got = "more bytes than that" if surplus else f"{len(values)} bytes"
        expected = f"{size} bytes for shape {list(shape)}"
        raise UserError("IDX file's header and length disagree", where=str(path), expected=expected, got=got)
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _refuse_bomb(members: list[zipfile.ZipInfo], path: Path) -> None:
    """Archives that claim what they cannot hold, or hold what nobody would pack, before anything is unpacked."""
    total, got = sum(info.file_size for info in members), None
    if total > MAX_BYTES:
        got = f"{total} bytes"
    elif total > FREE_BYTES and total > LARGEST_RATIO * path.stat().st_size:
        got = f"{total} bytes in a file of {path.stat().st_size}"
    elif any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
        got = "a packing that numpy never writes"
    elif any(info.file_size > LARGEST_DEFLATION * (info.compress_size + 8) for info in members):
        got = "an array that is longer than its packed bytes can be"
    if got:
        raise UnsafeFileError("npz refused before unpacking: too large", where=str(path), expected=_limit(), got=got)


def _refuse_lie(size: int, path: Path, *, packed: bool) -> None:
    """A header that claims more than the file can hold, before a buffer of that size is made."""
    held = path.stat().st_size
    most = max(FREE_BYTES, LARGEST_RATIO * held) if packed else held
    if size > min(most, LARGEST_DEFLATION * (held + 8)):
        raise UnsafeFileError(
            "IDX file refused before reading: its header claims more than it can hold",
            where=str(path),
            expected=f"at most {most} bytes",
            got=f"{size} bytes",
        )


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename


def _limit() -> str:
    return f"at most {MAX_BYTES} bytes"


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> np.ndarray:
    return _array(lambda: archive.open(info), info.file_size, f"{where}, array '{info.filename[:-4]}'")


def _array(opened: Callable[[], IO[bytes]], size: int, place: str) -> np.ndarray:
    """The array in `size` bytes of the npy format; its header is read first, and believed where the length agrees."""
    with opened() as handle, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version = npy.read_magic(handle)
        if version not in ((1, 0), (2, 0)):
            raise UserError("array format is not known", where=place, expected="npy 1.0 or 2.0", got=str(version))
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        try:
            shape, _, dtype = read_header(handle)
        except NO_HEADER as error:
            raise UserError("array's header is damaged", where=place, got=first_line(error)) from error
        if dtype.hasobject:
            raise UnsafeFileError(
                "array of Python objects refused: reading it could run code",
                where=place,
                hint="save it as text or numbers",
            )
        declared = math.prod(shape) * dtype.itemsize
        if declared != size - handle.tell():
            raise UserError("array's header and length disagree", where=place, expected=f"{declared} bytes")
    with opened() as handle, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = npy.read_array(handle, allow_pickle=False)
    if array.dtype.kind == "U" and not _is_text(array):
        raise UserError("array of text holds characters that do not exist", where=place)
    return array


def _is_text(array: np.ndarray) -> bool:
    """Whether every character of an array of text is one: numpy does not look, and Python fails on the first other."""
    codes = np.frombuffer(array.astype(array.dtype.newbyteorder("=")).tobytes(), dtype=np.uint32)
    return not ((codes > LAST_CHARACTER) | ((codes >= 0xD800) & (codes < 0xE000))).any()


def _idx_shape(handle: gzip.GzipFile | io.BufferedReader, where: str) -> tuple[int, ...]:
    magic = handle.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or not 1 <= magic[3] <= 4:
        raise UserError(
            "not an IDX file", where=where, expected="two zero bytes, a type, 1 to 4 axes", got=magic.hex(" ")
        )
    if magic[2] != IDX_UBYTE:
        raise UserError("IDX type is not supported", where=where, expected="8 (unsigned byte)", got=str(magic[2]))
    axes = magic[3]
    shape = struct.unpack(f">{axes}I", handle.read(4 * axes))
    if math.prod(shape) > MAX_BYTES:
        raise UnsafeFileError(
            "IDX file refused before reading: too large",
            where=where,
            expected=_limit(),
            got=f"{math.prod(shape)} bytes",
        )
    return shape
