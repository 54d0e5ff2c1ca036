"""Exported ONNX graphs, opened with care; without it a graph from a stranger could read files beside it.

A graph may name external files for its weights, and operators of libraries that it wants loaded. Neither is allowed
here: one file, standard operators, and the words that this package writes into it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.errors import UnsafeFileError, UserError, missing_extra

INPUT, OUTPUT = "canvas", "probabilities"
LARGEST_CANVAS = 4096
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "pkg.onnxscript.torch_lib", "pkg.torch")


@dataclass(frozen=True)
class Facts:
    """What travels with an exported model."""

    classes: tuple[str, ...]
    canvas: int
    arm: str
    kind: str = "multiclass"


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
        return np.asarray(session.run([OUTPUT], {INPUT: np.ascontiguousarray(canvas, dtype=np.float32)})[0])

    return run, facts


def read_graph(path: Path) -> Any:
    """The graph of a file, unrun. Raises `UserError` for what is no graph, `UnsafeFileError` for what could reach out
    of its file."""
    if not path.is_file():
        raise UserError("there is no such file", where=str(path))
    try:
        import onnx
    except ImportError as error:
        raise missing_extra("onnx", "onnx", "reading an ONNX file") from error
    try:
        graph = onnx.load(path, load_external_data=False)
    except Exception as error:  # noqa: BLE001 - protobuf raises its own kinds for bytes that are no graph
        raise UserError("this is no ONNX file", where=str(path), got=str(error).split("\n")[0][:200]) from error
    _refuse_unsafe(graph, path)
    return graph


def session_of(graph: Any, where: str) -> Any:
    """A session of onnxruntime on one thread. Raises `UserError` where it cannot run the graph."""
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", "onnx", "running an ONNX file") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime's exceptions have no common base
        raise UserError("this graph cannot be run", where=where, got=str(error).split("\n")[0][:200]) from error


def _refuse_unsafe(model: Any, path: Path) -> None:
    foreign = sorted({each.domain for each in model.opset_import} - set(DOMAINS))
    if foreign:
        raise UnsafeFileError("this graph wants operators of its own", where=str(path), got=", ".join(foreign))
    for tensor in _tensors(model.graph):
        if tensor.external_data:
            raise UnsafeFileError("this graph keeps weights in other files", where=str(path), got=tensor.name)


def _tensors(graph: Any) -> list[Any]:
    """Every stored tensor, those of graphs inside nodes too."""
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            found += [attribute.t, *attribute.tensors]
            for inner in (attribute.g, *attribute.graphs):
                found += _tensors(inner) if inner.node or inner.initializer else []
    return found


def _facts(words: dict[str, str], path: Path) -> Facts:
    try:
        classes, canvas = json.loads(words["classes"]), int(words["canvas"])
        if not (isinstance(classes, list) and classes and 1 <= canvas <= LARGEST_CANVAS):
            raise ValueError("classes or canvas are not what they should be")
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(
            "this graph does not say for which classes and canvas it answers",
            where=str(path),
            got=f"{type(error).__name__}: {error}"[:200],
            hint="transfuse export DIR --what onnx",
        ) from error
    return Facts(tuple(map(str, classes)), canvas, words.get("arm", path.stem), words.get("task", "multiclass"))
