"""HDF5 files from strangers: numbers in named arrays and nothing else; without it a link in one could read any file.

HDF5 can point out of the file (external links, external storage, virtual data sets) and hold far more numbers than
bytes. All of that is refused before a number is read. Configurations that stand in a file are never looked at.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from transfuse.errors import UnsafeFileError, UserError, first_line, missing_extra

DEEPEST = 32
# Numbers that compress better than this are no weights.
LARGEST_RATIO, SMALL_BYTES = 50, 64 << 20
NUMBERS = "fiub"
# The library finds damage wherever it comes upon it, and raises one of these; it has no kind of its own.
DAMAGE = (OSError, ValueError, RuntimeError, LookupError, ArithmeticError, TypeError, AttributeError, MemoryError)


@contextlib.contextmanager
def opened_hdf(file: Path | IO[bytes], where: str) -> Iterator[Any]:
    """The file, looked through and found to be numbers only. Raises UserError for what is no HDF5 file,
    UnsafeFileError for links, foreign storage, and for more numbers than its bytes can mean."""
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("h5py", "keras", "reading an HDF5 file") from error
    try:
        with h5py.File(file, "r") as opened:
            size = file.stat().st_size if isinstance(file, Path) else file.seek(0, 2)
            total = _looked_through(opened, h5py, where)
            if total > max(SMALL_BYTES, LARGEST_RATIO * size):
                raise UnsafeFileError(
                    "this file holds more numbers than its bytes can mean", where=where, got=f"{total}"
                )
            yield opened
    except DAMAGE as error:
        raise UserError("this is no HDF5 file, or a damaged one", where=where, got=first_line(error)) from error


def _looked_through(root: Any, h5py: Any, where: str) -> int:
    """The bytes of all numbers."""
    total, seen = 0, set()
    pending = [(root, 0)]
    while pending:
        group, depth = pending.pop()
        if depth > DEEPEST:
            raise UnsafeFileError("this file is nested too deep", where=where)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise UnsafeFileError("this file points somewhere else", where=where, got=f"the link '{name}'")
            found = group[name]
            address = h5py.h5o.get_info(found.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(found, h5py.Group):
                pending.append((found, depth + 1))
            else:
                total += _bytes_of(found, where)
    return total


def _bytes_of(found: Any, where: str) -> int:
    if getattr(found, "external", None) or getattr(found, "is_virtual", False):
        raise UnsafeFileError("this file keeps numbers in other files", where=where, got=found.name)
    if found.dtype.kind not in NUMBERS:
        return 0
    return math.prod(found.shape or ()) * found.dtype.itemsize


def layered_arrays(path: Path) -> dict[str, list[np.ndarray]]:
    """The arrays of an old Keras weight file by layer, in the file's order; layers without weights are left out.

    Raises UserError where the file is not laid out like one, UnsafeFileError as `opened_hdf`.
    """
    where = str(path)
    if not path.is_file():
        raise UserError("there is no such file", where=where)
    with opened_hdf(path, where) as file:
        root = file.get("model_weights", file)
        if "layer_names" not in root.attrs:
            raise UserError("this is no weight file of Keras", where=where, expected="the attribute 'layer_names'")
        found: dict[str, list[np.ndarray]] = {}
        for layer in _names(root.attrs, "layer_names"):
            group = root.get(layer)
            names = [] if group is None else _names(group.attrs, "weight_names")
            if names:
                found[layer] = [_array(group, name, where) for name in names]
    return found


def _names(attributes: Any, key: str) -> list[str]:
    """A list of names, which Keras cuts into pieces where it is long."""
    pieces = [attributes[key]] if key in attributes else []
    number = 0
    while f"{key}{number}" in attributes:
        pieces.append(attributes[f"{key}{number}"])
        number += 1
    return [name.decode() if isinstance(name, bytes) else str(name) for piece in pieces for name in piece]


def _array(group: Any, name: str, where: str) -> np.ndarray:
    if name not in group or getattr(group[name], "dtype", np.dtype("O")).kind not in NUMBERS:
        raise UserError("a layer names weights that are not there", where=where, got=f"{group.name}/{name}")
    return np.asarray(group[name])
