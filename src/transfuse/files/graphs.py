"""Exported ONNX graphs, opened with care; without it a graph from a stranger could read files beside it.

A graph may name external files for its weights, and operators of libraries that it wants loaded. Neither is allowed
here: one file, standard operators, and the words that this package writes into it. A graph is arithmetic, but loops
could run for ever and functions that call each other could unfold into billions of steps: no export has such loops,
and the steps are counted first. Whatever a graph asks for, it gets no more than `LARGEST_MEMORY_BYTES`.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.errors import UnsafeFileError, UserError, first_line, missing_extra
from transfuse.files.arrays import DAMAGE as NO_ARCHIVE
from transfuse.files.texts import parsed

INPUT, OUTPUT = "canvas", "probabilities"
LARGEST_CANVAS = 4096
LARGEST_GRAPH_BYTES = (1 << 31) - 1
LARGEST_MEMORY_BYTES = 4 << 30
MOST_STEPS = 1_000_000
LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
SILENT = 4
PROGRAM_WORDS, LARGEST_WORDS_BYTES = "/extra/facts.json", 16 << 20
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "pkg.onnxscript.torch_lib", "pkg.torch")


@dataclass(frozen=True)
class Facts:
    """What travels with an exported model."""

    classes: tuple[str, ...]
    canvas: int
    arm: str
    kind: str = "multiclass"
    familiar: Any = None
    table: Any = None


def opened_graph(path: Path) -> tuple[Callable[[np.ndarray], np.ndarray], Facts]:
    """How to ask the graph (canvases [N, 3, S, S] float32 → probabilities [N, C]), and what is written in it.

    Runs on one thread. Raises `UserError` for a file that is none of ours, `UnsafeFileError` for external data or
    foreign operators.
    """
    graph = read_graph(path)
    facts = _facts({each.key: each.value for each in graph.metadata_props}, path)
    session = session_of(graph, str(path))
    names = [each.name for each in session.get_inputs()], [each.name for each in session.get_outputs()]
    if names != ([INPUT], [OUTPUT]):
        raise UserError("this graph is not one exported here", where=str(path), got=f"inputs and outputs {names}")

    def run(canvas: np.ndarray) -> np.ndarray:
        try:
            found = session.run([OUTPUT], {INPUT: np.ascontiguousarray(canvas, dtype=np.float32)})[0]
        except Exception as error:  # noqa: BLE001 - as above
            raise _refused("this graph cannot answer", str(path), error) from error
        if not isinstance(found, np.ndarray) or found.shape != (len(canvas), len(facts.classes)):
            got = f"shape {list(np.shape(found))}" if isinstance(found, np.ndarray) else type(found).__name__
            expected = f"shape {[len(canvas), len(facts.classes)]}"
            raise UserError("this graph does not answer for its classes", where=str(path), expected=expected, got=got)
        return found

    return run, facts


def read_graph(path: Path) -> Any:
    """The graph of a file, unrun. Raises `UserError` for what is no graph, `UnsafeFileError` for what could reach out
    of its file, or run without end."""
    if not path.is_file():
        raise UserError("there is no such file", where=str(path))
    if path.stat().st_size > LARGEST_GRAPH_BYTES:
        raise UserError("this is no ONNX file", where=str(path), got=f"{path.stat().st_size:,} bytes")
    return graph_of(path.read_bytes(), path)


def graph_of(data: bytes, path: Path) -> Any:
    """The graph of these bytes, `path` is how messages name them. Raises as `read_graph` does."""
    try:
        import onnx
    except ImportError as error:
        raise missing_extra("onnx", "onnx", "reading an ONNX file") from error
    try:
        graph = onnx.load_model_from_string(data)
    except Exception as error:  # noqa: BLE001 - protobuf raises its own kinds for bytes that are no graph
        raise _refused("this is no ONNX file", str(path), error) from error
    _refuse_unsafe(graph, path)
    return graph


def session_of(graph: Any, where: str, threads: int = 1) -> Any:
    """A session of onnxruntime on so many threads, within `LARGEST_MEMORY_BYTES`. Raises `UserError` where it cannot
    run the graph."""
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", "onnx", "running an ONNX file") from error
    _cap_memory()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = SILENT
    try:
        # Bytes, not a path: what was looked at is what runs, and no file beside it is found.
        content = graph.SerializeToString()
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # noqa: BLE001 - the runtime's exceptions have no common base
        raise _refused("this graph cannot be run", where, error) from error


@functools.cache
def _cap_memory() -> None:
    """One allocator for all graphs of this process that refuses beyond the cap; registering it twice is an error."""
    import onnxruntime as runtime

    kind, place = runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, runtime.OrtMemType.DEFAULT
    whole = runtime.OrtMemoryInfo("Cpu", kind, 0, place)
    runtime.create_and_register_allocator(whole, runtime.OrtArenaCfg({"max_mem": LARGEST_MEMORY_BYTES}))


def _refused(what: str, where: str, error: Exception) -> UserError:
    return UserError(what, where=where, got=first_line(error))


def _refuse_unsafe(model: Any, path: Path) -> None:
    foreign = sorted({each.domain for each in model.opset_import} - set(DOMAINS))
    if foreign:
        raise UnsafeFileError("this graph wants operators of its own", where=str(path), got=", ".join(foreign))
    bodies = [list(_nodes(model.graph.node)), *(list(_nodes(each.node)) for each in model.functions)]
    for node in (node for body in bodies for node in body):
        if node.op_type in LOOPS:
            raise UnsafeFileError("this graph could run without end", where=str(path), got=node.op_type)
    for tensor in _tensors(model, [node for body in bodies for node in body]):
        if tensor.external_data or tensor.data_location:
            raise UnsafeFileError("this graph keeps weights in other files", where=str(path), got=tensor.name)
    names = [None, *((each.domain, each.name) for each in model.functions)]
    if _steps(dict(zip(names, bodies, strict=True)), None, {}) > MOST_STEPS:
        expected = f"at most {MOST_STEPS:,} steps"
        raise UnsafeFileError("this graph unfolds into more than can be run", where=str(path), expected=expected)


def _steps(bodies: dict[Any, list[Any]], name: Any, known: dict[Any, int]) -> int:
    """How many steps a function is once those that it calls stand in their places; one that calls itself has no end."""
    if name not in known:
        known[name] = MOST_STEPS + 1
        called = ((node.domain, node.op_type) for node in bodies[name])
        known[name] = sum(_steps(bodies, each, known) if each in bodies else 1 for each in called)
    return known[name]


def _nodes(nodes: Any) -> Iterator[Any]:
    """Every node, those of graphs inside nodes too."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner.node)


def _tensors(model: Any, nodes: list[Any]) -> Iterator[Any]:
    """Every stored tensor, those of graphs inside nodes, of functions and the parts of sparse ones too."""
    inner = [each for node in nodes for item in node.attribute for each in (item.g, *item.graphs)]
    sparse = [each for node in nodes for item in node.attribute for each in (item.sparse_tensor, *item.sparse_tensors)]
    for graph in (model.graph, *inner):
        yield from graph.initializer
        sparse += graph.sparse_initializer
    for each in sparse:
        yield from (each.values, each.indices)
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def words_of_program(path: Path) -> dict[str, str]:
    """The words that travel with a program of `torch.export`, which is not opened for them; none where it has none.

    Raises `UserError` for what is no such archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = [one for one in archive.infolist() if one.filename.endswith(PROGRAM_WORDS)]
            told = parsed(archive.read(found[0])) if found and found[0].file_size <= LARGEST_WORDS_BYTES else {}
    except NO_ARCHIVE as error:
        raise UserError("this is no program of torch.export", where=str(path), got=first_line(error)) from error
    return {str(name): str(value) for name, value in told.items()} if isinstance(told, dict) else {}


def _facts(words: dict[str, str], path: Path) -> Facts:
    try:
        classes, canvas = parsed(words["classes"]), int(words["canvas"])
        familiar, table = (parsed(words.get(name, "null")) for name in ("familiar", "table"))
        if not (isinstance(classes, list) and classes and 1 <= canvas <= LARGEST_CANVAS):
            raise ValueError("classes or canvas are not what they should be")
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(
            "this graph does not say for which classes and canvas it answers",
            where=str(path),
            got=f"{type(error).__name__}: {error}"[:200],
            hint="transfuse export DIR --what onnx",
        ) from error
    arm, kind = words.get("arm", path.stem), words.get("task", "multiclass")
    return Facts(tuple(map(str, classes)), canvas, arm, kind, familiar, table)
