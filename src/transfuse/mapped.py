"""Arrays that lie in files and are read where they are needed; without it what is computed would have to fit in memory.

The format is safetensors: eight bytes with the header's length, the header as JSON, then the arrays end to end. It is
padded so that the first array begins at a multiple of 64 bytes. What is mapped belongs to the file until it is written
to, then the written pages are this process's own: the file never changes.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16", "uint32": "U32",
    "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64", "float64": "F64", "complex64": "C64",
}  # fmt: skip
TYPES = {name: np.dtype(kind) for kind, name in NAMES.items()}
ALIGNED = 64
# Every mapping keeps a file open, of which a process has some thousand: what is small is read instead.
READ_BYTES = 1 << 20
# What is larger than this and made on the way lies in a file too.
ROOM_BYTES = 256 << 20


def packed(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """The bytes of a file of these arrays, piece by piece and without a copy of any; equal arrays give equal bytes.

    Raises ValueError for a type that the format does not have.
    """
    kept = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header, end = {}, 0
    order = sorted(kept, key=lambda name: (-kept[name].dtype.itemsize, name))
    for name in order:
        array = kept[name]
        if array.dtype.name not in NAMES:
            raise ValueError(f"an array of type {array.dtype} cannot be kept")
        header[name] = {
            "dtype": NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [end, end + array.nbytes],
        }
        end += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(len(text) + 8) % ALIGNED)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        array = kept[name].astype(kept[name].dtype.newbyteorder("<"), copy=False)
        yield array.reshape(-1).view(np.uint8).data


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file by name; large files are mapped. Raises ValueError where the file is not what it says."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if length + 8 > size:
            raise ValueError("the header is longer than the file")
        header = json.loads(handle.read(length))
        handle.seek(0)
        mapped = None if size < READ_BYTES else _mapping(handle.fileno())
        content = bytearray(handle.read()) if mapped is None else mapped
    found = {name: _array(content, entry, 8 + length) for name, entry in header.items() if name != "__metadata__"}
    return dict(sorted(found.items()))


def _array(content: bytearray | mmap.mmap, entry: Mapping[str, object], start: int) -> np.ndarray:
    dtype, shape = TYPES[str(entry["dtype"])], [int(size) for size in entry["shape"]]  # pyright: ignore[reportGeneralTypeIssues]
    begin, end = (int(place) for place in entry["data_offsets"])  # pyright: ignore[reportGeneralTypeIssues]
    count = math.prod(shape)
    if begin < 0 or end - begin != count * dtype.itemsize or start + end > len(content):
        raise ValueError("the header disagrees with the file's length")
    return np.frombuffer(content, dtype, count, start + begin).reshape(shape)


def _mapping(descriptor: int) -> mmap.mmap | None:
    """The file mapped; None where its file system, or the number of open files, does not allow it."""
    with contextlib.suppress(OSError):
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        # The number of files a process may hold is small by custom, not by need.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    return None


def room(shape: Sequence[int], dtype: np.dtype, folder: Path | None = None, *, most: int | None = None) -> np.ndarray:
    """An array to be written to, of any content: in memory, or in a file without a name in `folder` where it is larger
    than `most` bytes (256 MB).

    The file goes with the array, or with the process, however that ends. Raises OSError where the disk is full.
    """
    size = math.prod(shape) * dtype.itemsize
    if size <= (ROOM_BYTES if most is None else most):
        return np.empty(shape, dtype)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as handle:
        reserve(handle.fileno(), size)
        content = mmap.mmap(handle.fileno(), size)
    return np.frombuffer(content, dtype).reshape(shape)


def reserve(descriptor: int, size: int) -> None:
    """Make an open file so many bytes long, which the disk has from then on. Raises OSError where it is full.

    A hole in a file on a full disk would end the process as soon as it is written to through a map. Systems without
    `posix_fallocate` (macOS) make such a hole.
    """
    if not size:
        return
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif os.fstat(descriptor).st_size < size:
        os.ftruncate(descriptor, size)


def picked(pieces: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
    """The lines at these places [n, ...] of pieces that follow one another, without putting them together."""
    if len(pieces) == 1:
        return pieces[0][places]
    ends = np.cumsum([len(piece) for piece in pieces])
    of = np.searchsorted(ends, places, side="right")
    found = np.empty((len(places), *pieces[0].shape[1:]), pieces[0].dtype)
    for number in np.unique(of):
        here = of == number
        found[here] = pieces[number][places[here] - (ends[number] - len(pieces[number]))]
    return found
