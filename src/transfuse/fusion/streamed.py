"""Merging checkpoint files into a checkpoint file: without it a merge would need all models in memory at once.

Numbers are read through memory maps and written into their place in the new file, piece by piece. The file appears
under its name only when it is whole; whatever goes wrong before leaves nothing behind. Sources and output may also lie
behind URLs (`uploaded.py`). torch is needed only where a source is a PyTorch file.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfuse import __version__
from transfuse.errors import UserError
from transfuse.files.remote import Place, Remote, blocks_of, digest_of, same, size_of
from transfuse.files.weights import ENDINGS
from transfuse.fusion.unfinished import unfinished, writing
from transfuse.fusion.uploaded import uploaded
from transfuse.fusion.weights_lift import Job, carry_out, job
from transfuse.jsonio import file_digest
from transfuse.mapped import reserve
from transfuse.registry import Entry
from transfuse.source.ranged import reader_at, weight_files
from transfuse.source.weights import INDEX, NUMPY_TYPES, Reader

MANIFEST = "merge.json"
SHARD_BYTES = 5 << 30
# Endings of weight files of other kinds: a folder of such a name would be taken for one.
OTHER_FILES = {*ENDINGS, ".h5", ".onnx", ".npz"} - {".safetensors"}
# Files of a model folder that say what the weights are for; they go along unchanged.
BESIDE = ("*.json", "*.txt", "*.model")


@dataclass(frozen=True)
class Sizes:
    """How a merge is carried out; nothing here changes the result. `hashes` puts SHA-256 sums into the manifest."""

    workers: int = 1
    shard_bytes: int = SHARD_BYTES
    hashes: bool = True


@dataclass(frozen=True)
class Given:
    """A source that is more than one file: its tensors, the files they come from, and how it was asked for."""

    reader: Reader
    files: tuple[Place, ...]
    said: str


def merge_files(
    entry: Entry,
    sources: Mapping[str, Place | Given],
    out: Place,
    *,
    base: Place | Given | None = None,
    sizes: Sizes | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Merge checkpoints into `out`: a `.safetensors` file, or a folder with shards, an index and what lay beside.

    Sources are safetensors files, folders with shards, PyTorch files, or what was opened already. `more` are weights,
    settings, seed, buffers and stats as `job` takes them. Returns the manifest, which a folder also gets as
    `merge.json`. Raises UserError before anything is written for what `job` refuses and an `out` that exists as
    something else or is a source; afterwards for NaN, overflow and a full disk, with no output left.
    """
    if out.suffix in OTHER_FILES:
        raise UserError(
            "merged weights are written as safetensors",
            where=str(out),
            expected="FILE.safetensors, or the name of a new folder",
            got=out.suffix,
            hint=f"--out {Path(out.name).stem}.safetensors; safetensors.torch.load_file reads it as a state dict",
        )
    given = {name: opened(source) for name, source in sources.items()}
    start = None if base is None else opened(base)
    work = job(
        entry, {name: one.reader for name, one in given.items()}, base=None if start is None else start.reader, **more
    )
    for name, one in [*given.items(), *([("base", start)] if start else [])]:
        if any(same(out, file) for file in one.files):
            raise UserError("the output would overwrite a source", where=str(out), got=f"source '{name}'")
    how = sizes or Sizes()
    manifest = _manifest(work, given, start, how)
    with uploaded(out) as here:
        if out.suffix == ".safetensors":
            _one_file(work, here, how, {"transfuse.merge": json.dumps(manifest, sort_keys=True)})
        else:
            manifest = _folder(work, here, how, manifest, next(iter(given.values())).files[:1])
    return manifest


def opened(source: Place | Given) -> Given:
    """A source by its reader and files; a path or URL is opened as `reader_at` says."""
    return source if isinstance(source, Given) else Given(reader_at(source), (source,), source.name)


def _one_file(work: Job, out: Path, how: Sizes, metadata: Mapping[str, str]) -> None:
    if out.is_dir():
        raise UserError("the output is a folder", where=str(out), expected="a file, or a name without .safetensors")
    with unfinished(out) as scratch, written(scratch, out, _metas(work.first), metadata) as rooms:
        carry_out(work, rooms.__getitem__, workers=how.workers)


def _folder(work: Job, out: Path, how: Sizes, manifest: dict[str, Any], first: Sequence[Place]) -> dict[str, Any]:
    if out.exists():
        raise UserError("the output exists already", where=str(out), hint="name a new folder")
    shards = list(_shards(_metas(work.first), how.shard_bytes))
    names = [f"model-{place + 1:05}-of-{len(shards):05}.safetensors" for place in range(len(shards))]
    with unfinished(out) as scratch, contextlib.ExitStack() as files:
        with writing(out):
            scratch.mkdir(parents=True)
        rooms: dict[str, Room] = {}
        for name, metas in zip(names, shards, strict=True):
            rooms |= files.enter_context(written(scratch / name, out, metas, {"format": "pt"}))
        carry_out(work, rooms.__getitem__, workers=how.workers)
        where = {tensor: name for name, metas in zip(names, shards, strict=True) for tensor in metas}
        total = sum(room.nbytes for room in rooms.values())
        index = {"metadata": {"total_size": total}, "weight_map": where}
        with writing(out):
            (scratch / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True), encoding="utf-8")
            if how.hashes:
                manifest = manifest | {"files": {name: file_digest(scratch / name) for name in names}}
            (scratch / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
        beside = {path.name: path for folder in first for pattern in BESIDE for path in folder.glob(pattern)}
        for name in sorted(beside.keys() - {INDEX, MANIFEST}):
            content = b"".join(blocks_of(beside[name]))
            with writing(out):
                (scratch / name).write_bytes(content)
    return manifest


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
def written(
    path: Path, out: Path, metas: Mapping[str, tuple[tuple[int, ...], str]], metadata: Mapping[str, str]
) -> Iterator[dict[str, Room]]:
    """A safetensors file of these tensors, whose numbers are filled in by name; it is, or is part of, what becomes
    `out`."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    begin = 0
    for name, (shape, dtype) in metas.items():
        end = begin + int(np.prod(shape)) * np.dtype(NUMPY_TYPES[dtype]).itemsize
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with writing(out), path.open("xb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        handle.flush()
        # The room is taken now: a full disk is then an error, where writing through a memory map would be a crash.
        reserve(handle.fileno(), 8 + len(text) + begin)
    with path.open("r+b", buffering=0) as handle:
        yield {
            name: Room(out, handle.fileno(), 8 + len(text) + header[name]["data_offsets"][0], NUMPY_TYPES[dtype], shape)
            for name, (shape, dtype) in metas.items()
        }


@dataclass(frozen=True)
class Room:
    """The place of one tensor in a file being written: what is assigned to a part of it, flat, goes to the disk.

    Written rather than mapped: each new page of a map costs more than its share of a copy.
    """

    out: Path
    handle: int
    begin: int
    dtype: str
    shape: tuple[int, ...]

    def __setitem__(self, part: Any, values: np.ndarray) -> None:
        begin = 0 if part is Ellipsis else part.start
        data = np.ascontiguousarray(values, dtype=self.dtype).reshape(-1).view(np.uint8).data
        place = self.begin + begin * np.dtype(self.dtype).itemsize
        with writing(self.out):
            while data:
                written = os.pwrite(self.handle, data, place)
                data, place = data[written:], place + written

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def _manifest(work: Job, sources: Mapping[str, Given], base: Given | None, how: Sizes) -> dict[str, Any]:
    """What was merged and how; files by name, size and hash, since their paths mean nothing elsewhere."""
    files = {file for one in (*sources.values(), *([base] if base else [])) for file in _files(one)}
    with ThreadPoolExecutor(how.workers) as pool:
        ordered = sorted(files, key=str)
        sums = dict(zip(ordered, pool.map(digest_of, ordered), strict=True)) if how.hashes else {}

    def described(one: Given) -> dict[str, Any]:
        held = [{"file": file.name, "bytes": size_of(file), "sha256": sums.get(file)} for file in _files(one)]
        return {"source": one.said, "files": held}

    return {
        "method": work.entry.full_name,
        "method_digest": work.entry.digest,
        "settings": dict(work.settings),
        "weights": work.weights.tolist(),
        "statistics": work.buffers.statistics,
        "counters": work.buffers.counters,
        "sources": {name: described(one) for name, one in sources.items()},
        "base": None if base is None else described(base),
        "version": __version__,
    }


def _files(one: Given) -> list[Place]:
    """The weight files of a source."""
    return [file for place in one.files for file in _held(place)]


def _held(place: Place) -> Sequence[Place]:
    if isinstance(place, Remote):
        return [place] if place.suffix == ".safetensors" else weight_files(place)
    return (sorted(place.glob("*.safetensors")) or sorted(place.glob("*.bin"))) if place.is_dir() else [place]
