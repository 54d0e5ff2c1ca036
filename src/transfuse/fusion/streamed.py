"""Merging checkpoint files into a checkpoint file: without it a merge would need all models in memory at once.

Numbers are read through memory maps and written into their place in the new file, piece by piece. The file appears
under its name only when it is whole; whatever goes wrong before leaves nothing behind. torch is needed only where a
source is a PyTorch file.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfuse import __version__
from transfuse.errors import UserError
from transfuse.fusion.weights_lift import Job, carry_out, job
from transfuse.registry import Entry
from transfuse.source.weights import NUMPY_TYPES, Reader, open_reader

INDEX, MANIFEST = "model.safetensors.index.json", "merge.json"
SHARD_BYTES = 5 << 30
# Files of a model folder that say what the weights are for; they go along unchanged.
BESIDE = ("*.json", "*.txt", "*.model")


@dataclass(frozen=True)
class Sizes:
    """How a merge is carried out; nothing here changes the result."""

    workers: int = 1
    shard_bytes: int = SHARD_BYTES


def merge_files(
    entry: Entry,
    sources: Mapping[str, Path],
    out: Path,
    *,
    weights: Sequence[float] | None = None,
    base: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    sizes: Sizes | None = None,
) -> dict[str, Any]:
    """Merge checkpoints into `out`: a `.safetensors` file, or a folder with shards, an index and what lay beside.

    Sources are safetensors files, folders with shards, or PyTorch files. Returns the manifest, which a folder also gets
    as `merge.json`. Raises UserError before anything is written for what `job` refuses and an `out` that exists as
    something else or is a source; afterwards for NaN, overflow and a full disk, with no output left.
    """
    readers = {name: open_reader(path) for name, path in sources.items()}
    start = None if base is None else open_reader(base)
    work = job(entry, readers, weights=weights, base=start, settings=settings)
    for name, path in {**sources, **({"base": base} if base else {})}.items():
        if path.resolve() == out.resolve():
            raise UserError("the output would overwrite a source", where=str(out), got=f"source '{name}'")
    manifest = _manifest(work, sources, base)
    how = sizes or Sizes()
    if out.suffix == ".safetensors":
        _one_file(work, out, how, {"transfuse.merge": json.dumps(manifest, sort_keys=True)})
    else:
        _folder(work, out, how, manifest, next(iter(sources.values())))
    return manifest


def _one_file(work: Job, out: Path, how: Sizes, metadata: Mapping[str, str]) -> None:
    if out.is_dir():
        raise UserError("the output is a folder", where=str(out), expected="a file, or a name without .safetensors")
    with unfinished(out) as scratch, written(scratch, _metas(work.first), metadata) as rooms:
        carry_out(work, rooms.__getitem__, workers=how.workers)


def _folder(work: Job, out: Path, how: Sizes, manifest: Mapping[str, Any], first: Path) -> None:
    if out.exists():
        raise UserError("the output exists already", where=str(out), hint="name a new folder")
    shards = list(_shards(_metas(work.first), how.shard_bytes))
    names = [f"model-{place + 1:05}-of-{len(shards):05}.safetensors" for place in range(len(shards))]
    with unfinished(out) as scratch, contextlib.ExitStack() as files:
        scratch.mkdir(parents=True)
        rooms: dict[str, np.ndarray] = {}
        for name, metas in zip(names, shards, strict=True):
            rooms |= files.enter_context(written(scratch / name, metas, {"format": "pt"}))
        carry_out(work, rooms.__getitem__, workers=how.workers)
        where = {tensor: name for name, metas in zip(names, shards, strict=True) for tensor in metas}
        total = sum(room.nbytes for room in rooms.values())
        index = {"metadata": {"total_size": total}, "weight_map": where}
        (scratch / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True), encoding="utf-8")
        (scratch / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
        for path in sorted({path for pattern in BESIDE for path in first.glob(pattern)} if first.is_dir() else ()):
            if path.name not in (INDEX, MANIFEST):
                shutil.copyfile(path, scratch / path.name)


def _metas(reader: Reader) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: reader.meta(name) for name in reader.names()}


def _shards(
    metas: Mapping[str, tuple[tuple[int, ...], str]], limit: int
) -> Iterator[dict[str, tuple[tuple[int, ...], str]]]:
    """Tensors in their order, as many a file as fit into `limit` bytes, at least one."""
    held: dict[str, tuple[tuple[int, ...], str]] = {}
    size = 0
    for name, (shape, dtype) in metas.items():
        needed = int(np.prod(shape)) * np.dtype(NUMPY_TYPES[dtype]).itemsize
        if held and size + needed > limit:
            yield held
            held, size = {}, 0
        held[name], size = (shape, dtype), size + needed
    yield held


@contextlib.contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """A place beside `out` that becomes `out` in one step when all went well, and is gone when not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        yield scratch
        scratch.replace(out)
    except OSError as error:
        raise UserError("the output cannot be written", where=str(out), got=str(error)) from error
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch, ignore_errors=True)
        scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def written(
    path: Path, metas: Mapping[str, tuple[tuple[int, ...], str]], metadata: Mapping[str, str]
) -> Iterator[dict[str, np.ndarray]]:
    """A safetensors file of these tensors, whose numbers are filled in through flat arrays by name."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    begin = 0
    for name, (shape, dtype) in metas.items():
        end = begin + int(np.prod(shape)) * np.dtype(NUMPY_TYPES[dtype]).itemsize
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        handle.flush()
        # The room is taken now: a full disk is then an error, where writing through a memory map would be a crash.
        os.posix_fallocate(handle.fileno(), 0, max(8 + len(text) + begin, 1))
    start = 8 + len(text)
    whole = np.memmap(path, dtype=np.uint8, mode="r+") if begin else np.empty(start, np.uint8)
    rooms = {}
    for name, (_, dtype) in metas.items():
        left, right = header[name]["data_offsets"]
        rooms[name] = whole[start + left : start + right].view(NUMPY_TYPES[dtype])
    yield rooms
    if isinstance(whole, np.memmap):
        whole.flush()


def _manifest(work: Job, sources: Mapping[str, Path], base: Path | None) -> dict[str, Any]:
    """What was merged and how; files by name and size, since their paths mean nothing elsewhere."""

    def described(path: Path) -> dict[str, Any]:
        size = sum(file.stat().st_size for file in path.glob("*.safetensors")) if path.is_dir() else path.stat().st_size
        return {"file": path.name, "bytes": size}

    return {
        "method": work.entry.full_name,
        "method_digest": work.entry.digest,
        "settings": dict(work.settings),
        "weights": work.weights.tolist(),
        "sources": {name: described(path) for name, path in sources.items()},
        "base": None if base is None else described(base),
        "version": __version__,
    }
