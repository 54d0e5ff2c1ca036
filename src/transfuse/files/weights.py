"""Without this file, weights of strangers would be trusted; here a file is checked before anything in it is used.

Two kinds are read. safetensors: a JSON header and plain bytes; the header is validated in full before any allocation.
PyTorch files (`.pt`, `.pth`): only through the restricted unpickler of `torch.load(weights_only=True)`, after the list
of everything the pickle would import has been read without running it. There is no fall-back to full unpickling.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse.errors import UnsafeFileError, UserError, first_line
from transfuse.files.checkpoints import state_dict_of, unwrapped
from transfuse.files.pickles import judge
from transfuse.jsonio import file_digest

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".safetensors", ".pt", ".pth")
# What training tools call theirs besides; other things are called so too.
ENDINGS = (*SUFFIXES, ".bin", ".ckpt", ".tar")
# Kinds of `judge` that no torch.save ever writes.
NO_WEIGHTS = ("unknown", "zip")
HEADER_LIMIT_BYTES = 100_000_000
MOST_AXES = 64
LONGEST_SHOWN = 120
DTYPE_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
OPTIMISERS = ("optimizer", "optimiser", "optimizer_state_dict", "optimizer_state")


@dataclass(frozen=True)
class Stored:
    """Where one tensor lies: its bytes are `[begin, end)`, counted from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself: tensors by name in file order, and free text by key."""

    tensors: dict[str, Stored]
    metadata: dict[str, str]


def existing(path: Path) -> Path:
    """The path, if it is a file; else one clean error."""
    try:
        if path.is_file():
            return path
        got = "a folder" if path.is_dir() else "nothing there"
    except OSError as error:
        got = str(error.strerror)
    raise UserError("there is no such weight file", where=str(path), got=got)


def safetensors_header(path: Path) -> Header:
    """The header of a safetensors file; raises UserError for what `header_of` refuses."""
    size = existing(path).stat().st_size
    with path.open("rb") as handle:

        def read(begin: int, end: int) -> bytes:
            handle.seek(begin)
            return handle.read(end - begin)

        return header_of(str(path), size, read)


def header_of(path: str, size: int, read: Callable[[int, int], bytes]) -> Header:
    """The header of a safetensors file of so many bytes, believed only after it agrees with itself and with the size.

    Checked: header length, JSON without repeated names, known dtypes, shapes, dtype size × shape = bytes, and that the
    tensors fill the rest of the file without overlap or gap. `read(begin, end)` gives bytes of the file; nothing but
    the header is asked for. Raises UserError naming the file and the tensor.
    """
    if size < 8:
        raise _damaged(path, f"it has {size} bytes, too few for a header")
    length = int.from_bytes(read(0, 8), "little")
    if not 2 <= length <= min(HEADER_LIMIT_BYTES, size - 8):
        raise _damaged(path, f"its header claims {length} bytes in a file of {size}")
    text = read(8, 8 + length)
    try:
        raw = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is no JSON: {error}"[:200]) from error
    if not isinstance(raw, dict):
        raise _damaged(path, "its header is no JSON object")
    metadata = raw.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(item, str) for item in metadata.values()):
        raise _damaged(path, "its metadata is not text by key")
    tensors = {name: _stored(path, name, entry, start=8 + length) for name, entry in raw.items()}
    _fills(path, tensors, start=8 + length, end=size)
    return Header(tensors, metadata)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = Counter(name for name, _ in pairs)
    repeated = sorted(name for name, count in names.items() if count > 1)
    if repeated:
        raise ValueError(f"repeated names: {', '.join(repeated[:5])}")
    return dict(pairs)


def _stored(path: str, name: str, entry: Any, *, start: int) -> Stored:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(path, f"tensor '{name}' lacks dtype, shape or data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise _damaged(
            path, f"tensor '{name}' has the dtype {_brief(dtype)}; known are {', '.join(sorted(DTYPE_BYTES))}"
        )
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise _damaged(path, f"tensor '{name}' has the shape {_brief(shape)} and the offsets {_brief(offsets)}")
    taken = _brief(offsets[1] - offsets[0])
    if len(shape) > MOST_AXES or offsets[1] - offsets[0] != math.prod(shape) * DTYPE_BYTES[dtype]:
        raise _damaged(path, f"tensor '{name}': {dtype} {_brief(shape)} does not take {taken} bytes")
    if math.prod(filter(None, shape)) * DTYPE_BYTES[dtype] >= 1 << 63:
        # Empty, but with sides that no library can multiply.
        raise _damaged(path, f"tensor '{name}' has the shape {_brief(shape)}, larger than any memory")
    return Stored(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 63 for item in value)


def _brief(value: Any) -> str:
    """A value from a header as text: a hostile one may be a million digits long."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _fills(path: str, tensors: Mapping[str, Stored], *, start: int, end: int) -> None:
    spans = sorted((stored.begin, stored.end, name) for name, stored in tensors.items())
    edges = [(start, start, "the header"), *spans, (end, end, "the end of the file")]
    for (_, left, before), (right, _, after) in pairwise(edges):
        if left != right:
            raise _damaged(path, f"{'overlap' if left > right else 'gap'} between {before} and {after}")


def _damaged(path: str, why: str) -> UserError:
    return UserError("this is no sound safetensors file", where=path, got=why)


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, after its header was checked."""
    safetensors_header(path)
    from safetensors.torch import load_file

    return load_file(path)


def load_pickle(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.pt` or `.pth` file, through the restricted unpickler only.

    What stands under `state_dict`, `model` or `model_state_dict` is unwrapped, a common prefix `module.` is removed.
    Raises UnsafeFileError for anything that would import more than tensors need, UserError for a damaged file or one
    without a state dict.
    """
    return state_dict_of(_restricted(path), path)


def load_optimiser(path: Path) -> dict[str, Any] | None:
    """The `state_dict()` of the optimiser that a training checkpoint holds beside its weights; None without one.

    Found under `optimizer`, `optimizer_state_dict` and the like, as plain numbers and tensors, by the same restricted
    reader as weights. Raises UserError for what is no such state.
    """
    if path.suffix == ".safetensors":
        return None
    content = _restricted(path)
    given = [content[name] for name in OPTIMISERS if isinstance(content, Mapping) and name in content]
    if not given:
        return None
    parts = [given[0].get(part) if isinstance(given[0], Mapping) else None for part in ("state", "param_groups")]
    groups = parts[1] if isinstance(parts[1], list) else []
    if not isinstance(parts[0], Mapping) or not groups or not all(_is_group(group) for group in groups):
        raise UserError("this is no state of an optimiser", where=str(path), expected="optimiser.state_dict()")
    return {"state": dict(parts[0]), "param_groups": groups}


def _is_group(group: Any) -> bool:
    return isinstance(group, Mapping) and isinstance(group.get("params"), list)


def _restricted(path: Path) -> Any:
    import pickle  # for its exception only

    import torch

    judgement = judge(existing(path))
    if judgement.refusal:
        raise UnsafeFileError(
            "this file is not safe to load, and nothing in it was run",
            where=str(path),
            got=judgement.refusal,
            hint="ask for safetensors, or save again with torch.save(model.state_dict(), ...)",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mapped = judgement.kind == "pytorch zip" or None
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        # Its own message advises to load without the restriction, which nobody should do.
        reason = str(error).partition("WeightsUnpickler error: ")[2] or "the restricted unpickler refuses it"
        raise UnsafeFileError(
            "this file is not safe to load, and nothing in it was run",
            where=str(path),
            got=first_line(reason),
        ) from error
    except Exception as error:  # noqa: BLE001 - the unpickler raises whatever the bytes provoke, IndexError and more
        raise UserError("this PyTorch file is damaged", where=str(path), got=first_line(error)) from error


def load_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a weight file: `.safetensors`, or under any other name what `torch.save` wrote.

    Training tools write theirs as .pt, .pth, .bin, .ckpt or .tar; what it is, its first bytes say. Raises UserError for
    what neither wrote, and UnsafeFileError for what is not safe to load.
    """
    if path.suffix == ".safetensors":
        return load_safetensors(path)
    if path.suffix not in SUFFIXES and (judgement := judge(existing(path))).kind in NO_WEIGHTS:
        expected = "safetensors, or a file that torch.save wrote"
        raise UserError("this is no weight file", where=str(path), expected=expected, got=judgement.refusal)
    return load_pickle(path)


def describe(path: Path) -> dict[str, Any]:
    """What a weight file is, without running anything in it: the record behind `transfuse inspect`.

    Keys: kind, bytes, sha256, safe, why, imports (what its pickle names), tensors {name: [dtype, shape]}, parameters
    (elements of all tensors), dtypes {name: count of tensors}, metadata. An unsafe or damaged file has no tensors.
    """
    record: dict[str, Any] = {"bytes": existing(path).stat().st_size, "sha256": file_digest(path), "imports": []}
    tensors: dict[str, list[Any]] = {}
    metadata: dict[str, str] = {}
    why = "a header and plain numbers; nothing in it can run"
    try:
        if path.suffix == ".safetensors":
            record["kind"] = "safetensors"
            header = safetensors_header(path)
            metadata = header.metadata
            tensors = {name: [stored.dtype, list(stored.shape)] for name, stored in header.tensors.items()}
        else:
            judgement = judge(path)
            record |= {"kind": judgement.kind, "imports": list(judgement.imports)}
            content = _restricted(path)
            state, taken = state_dict_of(content, path), unwrapped(content)[1]
            metadata = {"taken from": taken} if taken else {}
            tensors = {name: [str(item.dtype).removeprefix("torch."), list(item.shape)] for name, item in state.items()}
            why = "the restricted unpickler reads it; it names nothing but what tensors need"
        safe = True
    except UserError as error:
        said = f"{error.what}: {error.got}" if error.got else error.what
        safe, why = False, f"{said}; {error.hint}" if error.hint else said
    return record | told(safe, why, tensors, metadata)


def told(safe: bool, why: str, tensors: Mapping[str, Sequence[Any]], metadata: Mapping[str, str]) -> dict[str, Any]:
    """What `describe` says of tensors {name: [dtype, shape]}, wherever their headers were read."""
    return {
        "safe": safe,
        "why": why,
        "tensors": tensors,
        "parameters": sum(math.prod(shape) for _, shape in tensors.values()),
        "dtypes": dict(sorted(Counter(dtype for dtype, _ in tensors.values()).items())),
        "metadata": metadata,
    }
