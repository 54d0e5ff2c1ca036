"""Without this file, weights could be used only as whole modules, and a bad tensor would be found out by bad results.

Readers give named tensors one at a time as numpy arrays; merging and inspection need no more. `fill` puts a state dict
into a network and lists everything that does not fit at once. No torch at import.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from transfuse.errors import UserError, many_problems
from transfuse.files.texts import json_object
from transfuse.files.weights import Header, load_pickle, load_state, safetensors_header

if TYPE_CHECKING:
    from torch import Tensor, nn

    from transfuse.files.remote import Remote

NUMPY_TYPES = {
    "BOOL": "?", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "BF16": "<u2",
    "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8",
}  # fmt: skip
INDEX, UNREADABLE = "model.safetensors.index.json", "this index of weight files cannot be read"
TORCH_NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16", "bfloat16": "BF16",
    "uint32": "U32", "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64", "float64": "F64",
    "complex64": "C64",
}  # fmt: skip


class Reader(Protocol):
    """Named tensors, read lazily. dtypes are spelled as in safetensors (`F32`); BF16 is given as float32, exactly."""

    def names(self) -> Sequence[str]:
        """All tensor names, sorted."""
        ...

    def meta(self, name: str) -> tuple[tuple[int, ...], str]:
        """Shape and stored dtype, without reading the numbers."""
        ...

    def read(self, name: str) -> np.ndarray:
        """The numbers; never to be changed in place."""
        ...


class ReaderOfFile(Reader, Protocol):
    """A reader of one file, which has a name."""

    @property
    def path(self) -> Path | Remote: ...


class HeaderReader:
    """What a safetensors header, read first, says of its tensors; how numbers are read is for those who know where."""

    def __init__(self, header: Header) -> None:
        self._header = header

    @property
    def metadata(self) -> dict[str, str]:
        """Free text by key."""
        return self._header.metadata

    def names(self) -> list[str]:
        return sorted(self._header.tensors)

    def meta(self, name: str) -> tuple[tuple[int, ...], str]:
        stored = self._header.tensors[name]
        return stored.shape, stored.dtype


class FileReader(HeaderReader):
    """The tensors of a safetensors file, their numbers through a read-only memory map; no torch."""

    def __init__(self, path: Path) -> None:
        super().__init__(safetensors_header(path))
        self.path = path

    def read(self, name: str) -> np.ndarray:
        """Raises UserError for a dtype that numpy cannot hold (8-bit floats)."""
        stored = self._header.tensors[name]
        dtype = numpy_type(stored.dtype, name, str(self.path))
        if stored.begin == stored.end:
            numbers = np.empty(stored.shape, dtype)
        else:
            numbers = np.memmap(self.path, dtype=dtype, mode="r", offset=stored.begin, shape=stored.shape)
        return widened(numbers, stored.dtype)


class ShardedReader:
    """The tensors of several safetensors files of one model, each read from the file that holds it."""

    def __init__(self, files: Iterable[ReaderOfFile], where: str) -> None:
        self._homes: dict[str, ReaderOfFile] = {}
        for reader in files:
            for name in reader.names():
                other = self._homes.setdefault(name, reader)
                if other is not reader:
                    got = f"{other.path.name} and {reader.path.name}"
                    raise UserError(f"tensor '{name}' stands in two files of one model", where=where, got=got)

    def names(self) -> list[str]:
        return sorted(self._homes)

    def meta(self, name: str) -> tuple[tuple[int, ...], str]:
        return self._homes[name].meta(name)

    def read(self, name: str) -> np.ndarray:
        return self._homes[name].read(name)


def open_reader(path: Path) -> Reader:
    """A reader of a safetensors file, of a folder with one or more of them, or of a PyTorch file by the safe path.

    A folder's `model.safetensors.index.json` says which files belong to it, else all its safetensors files do, else its
    `pytorch_model.bin`. Raises UserError where nothing is there, or a file that the index names is missing.
    """
    if path.is_dir():
        index = path / INDEX
        if index.is_file():
            paths = [path / name for name in shards_of(json_object(index, UNREADABLE), str(index))]
        else:
            paths = sorted(path.glob("*.safetensors"))
        if not paths and (path / "pytorch_model.bin").is_file():
            return StateReader(load_pickle(path / "pytorch_model.bin"), str(path))
        if not paths:
            raise UserError("no safetensors file is in this folder", where=str(path))
        return ShardedReader(map(FileReader, paths), str(path))
    if path.suffix == ".safetensors":
        return FileReader(path)
    return StateReader(load_state(path), str(path))


def shards_of(index: Mapping[str, Any], where: str) -> list[str]:
    """The names of the files that the index of a model's folder names, sorted. Raises UserError where it has none."""
    named = index.get("weight_map", {})
    if not isinstance(named, dict) or not all(isinstance(name, str) and name for name in named.values()):
        raise UserError("this index names no weight files", where=where, expected="weight_map: {..}")
    return sorted({Path(name).name for name in named.values()})


class ArrayReader:
    """The same view of numpy arrays in memory."""

    def __init__(self, state: Mapping[str, np.ndarray], where: str) -> None:
        self.where = where
        self._state = state

    def names(self) -> list[str]:
        return list(self._state)

    def meta(self, name: str) -> tuple[tuple[int, ...], str]:
        array = self._state[name]
        return array.shape, TORCH_NAMES.get(array.dtype.name, array.dtype.name)

    def read(self, name: str) -> np.ndarray:
        return self._state[name]


class StateReader:
    """The same view of a state dict in memory; what it gives shares no memory with the network."""

    def __init__(self, state: Mapping[str, Tensor], where: str) -> None:
        self.where = where
        self._state = state

    def names(self) -> list[str]:
        return sorted(self._state)

    def meta(self, name: str) -> tuple[tuple[int, ...], str]:
        tensor = self._state[name]
        return tuple(tensor.shape), _stored_type(tensor)

    def read(self, name: str) -> np.ndarray:
        tensor = self._state[name].detach().cpu()
        dtype = _stored_type(tensor)
        numpy_type(dtype, name, self.where)
        return (tensor.float() if dtype == "BF16" else tensor).numpy().copy()


def _stored_type(tensor: Tensor) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    return TORCH_NAMES.get(name, name)


def numpy_type(dtype: str, tensor: str, where: str) -> np.dtype:
    """The type that holds a stored one. Raises UserError for a dtype that numpy cannot hold (8-bit floats)."""
    if dtype not in NUMPY_TYPES:
        raise UserError(f"tensor '{tensor}' has the type {dtype}, which cannot be read as numbers here", where=where)
    return np.dtype(NUMPY_TYPES[dtype])


def widened(numbers: np.ndarray, dtype: str) -> np.ndarray:
    """Stored numbers as they are computed with: 16 bits of a BF16 as float32, all others as they are."""
    if dtype != "BF16":
        return numbers
    # A bfloat16 is the upper half of a float32, so widening is a shift and loses nothing.
    return (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)


def cast(values: np.ndarray, dtype: str) -> tuple[np.ndarray, bool]:
    """float64 numbers in a stored type, rounded once, and whether that type can hold them all.

    BF16 comes as its 16 bits: the numbers first go to float32, and where that rounded, its last bit is set, so that the
    second rounding decides as if there had been none before.
    """
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32 if dtype == "BF16" else NUMPY_TYPES[dtype])
        sound = bool(np.isfinite(narrow).all())
        if dtype != "BF16" or not sound:
            return narrow, sound
        away = np.abs(narrow) > np.abs(values)
        bits = np.where(away, np.nextafter(narrow, np.float32(0)), narrow).view(np.uint32)
        bits = bits | (bits.view(np.float32) != values)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        return rounded.astype(np.uint16), bool(((rounded & np.uint32(0x7F80)) != 0x7F80).all())


def fill(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Put `state` into `network`, all of it or nothing.

    Raises one UserError that lists every missing, unexpected, misshapen and non-finite tensor, sorted. Only BatchNorm's
    `num_batches_tracked`, a counter that files from before it existed lack, may be missing.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    problems = [f"'{name}' is missing (expected {list(own[name].shape)})" for name in missing]
    problems += [f"'{name}' is unexpected (got {list(state[name].shape)})" for name in state if name not in own]
    for name in own.keys() & state.keys():
        if own[name].shape != state[name].shape:
            problems.append(f"'{name}' has the shape {list(state[name].shape)}, expected {list(own[name].shape)}")
    problems += [f"'{name}' contains {what}" for name, what in not_finite(state).items()]
    if problems:
        raise many_problems("the weights do not fit the network", sorted(problems), where=f"source '{source}'")
    network.load_state_dict({**own, **state})


def not_finite(state: Mapping[str, Tensor]) -> dict[str, str]:
    """The tensors that hold NaN or infinity, and which; empty where all is well."""
    found: dict[str, str] = {}
    for name, tensor in sorted(state.items()):
        if tensor.is_floating_point() and tensor.numel() and not tensor.isfinite().all():
            found[name] = "NaN" if tensor.isnan().any() else "infinity"
    return found


def require_finite(network: nn.Module, source: str) -> None:
    """Raises UserError naming every tensor of the network with NaN or infinity in it."""
    problems = [f"'{name}' contains {what}" for name, what in not_finite(network.state_dict()).items()]
    if problems:
        raise many_problems("the weights are not numbers", problems, where=f"source '{source}'")


def state_digest(network: nn.Module) -> str:
    """SHA-256 over the state dict: names sorted, each with its dtype, shape and bytes. 64 hexadecimal digits."""
    import torch

    total = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        total.update(f"{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1e".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(memoryview(flat.view(torch.uint8).numpy()))
    return total.hexdigest()
