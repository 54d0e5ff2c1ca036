"""Weights behind a URL, a tensor at a time; without it merging would first copy every checkpoint of an object store.

Headers are checked as those of local files are, against the size that the server tells. A tensor is read in blocks when
it is asked for; a large one goes into a file without a name (in `$TMPDIR`), mapped, which ends with the array: memory
stays that of a block, and the disk holds the tensors at work.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from transfuse.errors import UserError, first_line
from transfuse.files.remote import BLOCK_BYTES, Place, Remote
from transfuse.files.texts import LARGEST_BYTES, parsed
from transfuse.files.weights import header_of
from transfuse.mapped import room
from transfuse.source.weights import (
    INDEX,
    UNREADABLE,
    HeaderReader,
    Reader,
    ShardedReader,
    numpy_type,
    open_reader,
    shards_of,
    widened,
)

# A merge that is written to a URL holds this in its folder until all is there.
UNFINISHED = "merge.unfinished"


class RangedReader(HeaderReader):
    """The tensors of a safetensors file behind a URL: its header first, then the ranges that are asked for."""

    def __init__(self, remote: Remote) -> None:
        super().__init__(header_of(str(remote), remote.size(), remote.read))
        self.path = remote

    def read(self, name: str) -> np.ndarray:
        """Raises UserError for a dtype that numpy cannot hold, a range that is not given, and a full disk."""
        stored = self._header.tensors[name]
        dtype = numpy_type(stored.dtype, name, str(self.path))
        try:
            numbers = room(stored.shape, dtype, most=BLOCK_BYTES)
            content = numbers.reshape(-1).view(np.uint8)
            for begin in range(stored.begin, stored.end, BLOCK_BYTES):
                end = min(begin + BLOCK_BYTES, stored.end)
                content[begin - stored.begin : end - stored.begin] = np.frombuffer(self.path.read(begin, end), np.uint8)
        except (OSError, MemoryError) as error:
            hint = "TMPDIR=FOLDER with room for the largest tensor of every source and worker, or fewer --workers"
            raise UserError(
                f"tensor '{name}' does not fit here", where=str(self.path), got=str(error), hint=hint
            ) from error
        return widened(numbers, stored.dtype)


def reader_at(place: Place) -> Reader:
    """As `open_reader`, also of a safetensors file behind a URL, or of a folder of them.

    Raises UserError for other files behind URLs, a folder that a merge has not finished, and where nothing is there.
    """
    if isinstance(place, Path):
        return open_reader(place)
    if place.suffix == ".safetensors":
        return RangedReader(place)
    if place.suffix in (".pt", ".pth", ".bin"):
        raise UserError("only safetensors are read by ranges", where=str(place), hint="download this file first")
    if (place / UNFINISHED).is_file():
        hint = "run that merge again; it begins anew"
        raise UserError("the merge into this folder has not ended", where=str(place), hint=hint)
    return ShardedReader(map(RangedReader, weight_files(place)), str(place))


def weight_files(folder: Remote) -> list[Remote]:
    """The files that a folder's index names, else all its safetensors files. Raises UserError where there are none."""
    index = folder / INDEX
    if index.is_file():
        return [folder / name for name in shards_of(_json(index), str(index))]
    if found := folder.glob("*.safetensors"):
        return found
    expected = f"{INDEX}, which lists the files" if folder.web else "*.safetensors"
    raise UserError("no safetensors file is in this folder", where=str(folder), expected=expected)


def _json(remote: Remote) -> dict[str, object]:
    size = remote.size()
    try:
        if size > LARGEST_BYTES:
            raise ValueError(f"{size:,} bytes are too many")
        found = parsed(remote.read(0, size))
    except ValueError as error:
        raise UserError(UNREADABLE, where=str(remote), got=first_line(error)) from error
    if not isinstance(found, dict):
        raise UserError(UNREADABLE, where=str(remote), expected="a JSON object", got=type(found).__name__)
    return found
