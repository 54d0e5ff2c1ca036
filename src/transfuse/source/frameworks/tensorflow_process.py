"""A SavedModel in an interpreter of its own: without this file TensorFlow would be imported beside PyTorch, and a
stranger's program would run in the user's process.

`TRANSFUSE_TENSORFLOW` names a Python that has TensorFlow; without it this one is used where it has. The first time a
program is asked for it is also written as an ONNX graph, and what both say of the same images is compared; the store
keeps all of that, so later TensorFlow starts only where a source answers through it.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.errors import MissingExtraError, UserError, first_line
from transfuse.files.programs import check_program, program_files
from transfuse.jsonio import digest, file_digest
from transfuse.source.foreign import LOGITS, Foreign
from transfuse.store import named_store

INTERPRETER = "TRANSFUSE_TENSORFLOW"
CHILD = Path(__file__).with_name("tensorflow_child.py")
LONGEST_SECONDS = 600.0
# Raised where other things are kept of a program than were, or found in another way.
REVISION = 1
CHANNELS, SIDES, ROWS = (1, 3), (64, 224), 3


@dataclass(frozen=True)
class Facts:
    """What is known of a signature: how it takes images, where its blocks are, and its graph where it could be written
    (else `reason`)."""

    folder: str
    signature: str
    output: str | None
    channels: int
    side: int | None
    last: bool
    softmax: bool
    stored: int
    places: Mapping[str, str]
    graph: bytes = b""
    reason: str = ""


def interpreter() -> str:
    """The Python that has TensorFlow. Raises MissingExtraError with both ways to have one."""
    if named := os.environ.get(INTERPRETER):
        if not Path(named).is_file():
            raise UserError(f"${INTERPRETER} names no interpreter", expected="the path of a python", got=named)
        return named
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError(
            "a TensorFlow source needs the package 'tensorflow', which is not installed",
            hint=f"pip install tensorflow-cpu tf2onnx, here or where the python is that ${INTERPRETER} names",
        )
    return sys.executable


class Conversation:
    """One program in a process of its own: requests and answers in turn. Raises UserError for what it refuses."""

    def __init__(self, folder: Path, signature: str, output: str | None, where: str) -> None:
        self.where = where
        python = interpreter()
        self._empty = tempfile.mkdtemp(prefix="transfuse-tensorflow-")
        surroundings = {
            "PATH": os.defpath, "HOME": self._empty, "TMPDIR": self._empty, "CUDA_VISIBLE_DEVICES": "",
            "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "OMP_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1",
        }  # fmt: skip
        try:
            self._process = subprocess.Popen(  # noqa: S603 - an interpreter of the user's, our own script
                [python, "-I", str(CHILD)], cwd=self._empty, env=surroundings,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            shutil.rmtree(self._empty, ignore_errors=True)
            raise UserError(
                "the interpreter with TensorFlow cannot be started", where=python, got=str(error)
            ) from error
        self._end = weakref.finalize(self, _ended, self._process, self._empty)
        self.opened = self.ask("open", folder=str(folder.absolute()), signature=signature, output=output)[0]

    def ask(
        self, what: str, arrays: Sequence[np.ndarray] = (), **words: Any
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """One request. Raises UserError where the program fails, ends or takes too long."""
        incoming, outgoing = self._process.stdout, self._process.stdin
        if incoming is None or outgoing is None:
            raise UserError("TensorFlow's process cannot be talked to", where=self.where)
        watch = threading.Timer(LONGEST_SECONDS, self._process.kill)
        watch.start()
        try:
            written = [_written(array) for array in arrays]
            outgoing.write(
                json.dumps({"do": what, **words, "arrays": [len(each) for each in written]}).encode() + b"\n"
            )
            outgoing.writelines(written)
            outgoing.flush()
            told = json.loads(incoming.readline() or b'{"error": "its process ended", "arrays": []}')
            found = [np.load(io.BytesIO(incoming.read(size)), allow_pickle=False) for size in told.pop("arrays")]
        except (OSError, ValueError) as error:
            told, found = {"error": f"its process ended ({type(error).__name__})"}, []
        finally:
            watch.cancel()
        if "error" in told:
            raise UserError("TensorFlow cannot run this program", where=self.where, got=str(told["error"])[:300])
        return told, found

    def close(self) -> None:
        """End the process."""
        self._end()


def _ended(process: subprocess.Popen[bytes], folder: str) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    shutil.rmtree(folder, ignore_errors=True)


def _written(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


class Program(Foreign):
    """A signature that TensorFlow computes. Copies and processes get one of their own, started when it is asked."""

    def __init__(self, facts: Facts, where: str) -> None:
        super().__init__(tuple(name for name in facts.places if name != LOGITS), facts.stored)
        self.facts, self.where = facts, where
        self._talk: Conversation | None = None
        self._counted: dict[tuple[int, ...], int] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_talk": None}

    def answer(self, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Raises UserError where the program does not take images of this size."""
        names = list(self.facts.places.values())
        found = self._open().ask("answer", [as_given(self.facts, images)], names=names)[1]
        blocks = dict(zip(self.facts.places, found, strict=True))
        if "map" in blocks:
            blocks["map"] = blocks["map"].transpose(0, 3, 1, 2)
        if "vector" in blocks and blocks["vector"].ndim == 4:
            blocks["vector"] = blocks["vector"].mean(axis=(1, 2))
        blocks[LOGITS] = blocks[LOGITS].reshape(len(images), -1)
        return blocks

    def flops(self, shape: tuple[int, ...]) -> int:
        """Counted from the shapes of one item's pass; what is no product of matrices counts nothing, as in PyTorch."""
        one = tuple(as_given(self.facts, np.empty((1, *shape[1:]), np.float32)).shape)
        if one not in self._counted:
            self._counted[one] = int(self._open().ask("flops", shape=list(one))[0]["flops"])
        return shape[0] * self._counted[one]

    def _open(self) -> Conversation:
        if self._talk is None:
            self._talk = _talked(Path(self.facts.folder), self.facts.signature, self.facts.output, self.where)
        return self._talk


def as_given(facts: Facts, images: np.ndarray) -> np.ndarray:
    """Images [N, C, S, S] as the program takes them."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1) if facts.last else images, dtype=np.float32)


def _talked(folder: Path, signature: str, output: str | None, where: str) -> Conversation:
    check_program(folder)
    return Conversation(folder, signature, output, where)


def known(folder: Path, signature: str, output: str | None, where: str) -> Facts:
    """What the store has of a program, else what its process says of it.

    Raises UserError where it takes no images, UnsafeFileError for a program that may do more than compute.
    """
    content = {path.name: file_digest(path) for path in program_files(folder)}
    key = digest({"program": content, "signature": signature, "output": output, "revision": REVISION})
    store = named_store()
    kept = store.get(key)
    if kept is None:
        talk = _talked(folder, signature, output, where)
        try:
            meta, graph = _found(talk, where)
        finally:
            talk.close()
        store.put(key, meta, {"graph": np.frombuffer(graph, np.uint8)} if graph else None)
        kept = store.need(key)
    stored = kept.arrays["graph"].tobytes() if "graph" in kept.arrays else b""
    return Facts(str(folder), signature, output, graph=stored, **kept.meta)


def _found(talk: Conversation, where: str) -> tuple[dict[str, Any], bytes]:
    """What is kept of a program, and its ONNX graph where one computes the same."""
    opened = talk.opened
    channels, side, last = _image(opened["type"], opened["sizes"], where)
    meta = {"channels": channels, "side": side, "last": last, "softmax": opened["softmax"], "stored": opened["stored"]}
    bare = Facts("", "", None, places={LOGITS: opened["logits"]}, **meta)
    images, refused = None, None
    for size in (side,) if side else SIDES:
        images = np.random.default_rng(0).standard_normal((ROWS, channels, size, size), dtype=np.float32)
        try:
            shown = talk.ask("shown", [as_given(bare, images)])[0]["shown"]
            break
        except UserError as error:
            refused = error
    else:
        got = None if refused is None else refused.got
        raise UserError("this program does not take images", where=where, got=got) from refused
    meta["places"] = {**shown, LOGITS: opened["logits"]}
    graph, meta["reason"] = _written_anew(talk, as_given(bare, images), opened["logits"], where)
    return meta, graph


def _image(kind: str, sizes: list[int] | None, where: str) -> tuple[int, int | None, bool]:
    """Channels, side and whether the channels lie last."""
    expected = "float32 images [N, S, S, 3] or [N, 3, S, S], N free"
    if kind != "float32" or sizes is None or len(sizes) != 4 or sizes[0]:
        raise UserError("this program takes no images", where=where, expected=expected, got=f"{kind} {sizes}")
    last = sizes[3] in CHANNELS
    channels, plane = (sizes[3], sizes[1:3]) if last else (sizes[1], sizes[2:])
    if channels not in CHANNELS or len({size for size in plane if size}) > 1:
        raise UserError("this program takes no square images", where=where, expected=expected, got=str(sizes))
    return channels, max(plane) or None, last


def _written_anew(talk: Conversation, images: np.ndarray, logits: str, where: str) -> tuple[bytes, str]:
    """The program as an ONNX graph, or why it has none that computes the same."""
    from transfuse.files.graphs import graph_of, session_of
    from transfuse.source.frameworks.onnx_equal import TOLERANCE

    try:
        graph = talk.ask("graph")[1][0].tobytes()
        session = session_of(graph_of(graph, Path(where)), where)
        found = np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])
    except Exception as error:  # noqa: BLE001 - the converter and the runtime have no common kind of error
        return b"", f"tf2onnx gives no graph that runs ({first_line(error, 160)})"
    whole = talk.ask("answer", [images], names=[logits])[1][0]
    gap = float(np.abs(found - whole).max()) if found.shape == whole.shape else float("inf")
    if not gap <= TOLERANCE * max(float(np.abs(whole).max()), 1e-6):
        return b"", f"as an ONNX graph its scores differ by {gap:.2g}"
    return graph, ""
