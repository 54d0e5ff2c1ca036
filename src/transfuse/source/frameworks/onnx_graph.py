"""What an ONNX graph takes and gives, made plain once: without this every reader would handle each exporter's habits.

Brought into one shape: functions inlined, constants as stored tensors, a free batch, one output of logits (a closing
softmax is taken off), images [N, C, H, W] or [N, H, W, C]. Nothing here runs the graph. Needs the package onnx.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfuse.errors import UserError, unknown_name
from transfuse.files.graphs import read_graph

CHANNELS = (1, 3)
FLOAT = 1
# What stands between a classifier and the scores it gives without changing which numbers they are made of.
PASSING = ("Add", "Identity", "Reshape", "Flatten", "Squeeze", "Cast", "Relu", "ReduceMean", "GlobalAveragePool")
CLASSIFYING = ("Gemm", "MatMul", "Conv")


@dataclass(frozen=True)
class Graph:
    """A graph in one shape. `side` is None where it takes images of any size; `softmax` says that one was taken off;
    `batch` is the number of images it was exported for, None where that is free."""

    model: Any
    entry: str
    output: str
    channels: int
    side: int | None
    last: bool
    softmax: bool
    words: dict[str, str]
    batch: int | None = None

    @property
    def nodes(self) -> list[Any]:
        return list(self.model.graph.node)


def opened(path: Path, wanted: str | None, where: str) -> Graph:
    """The graph of a file; `wanted` names an output, else the first one is taken.

    Raises UserError where it takes no images or gives no scores, UnsafeFileError for what could reach out of its file.
    """
    return of_model(read_graph(path), wanted, where)


def of_model(model: Any, wanted: str | None, where: str) -> Graph:
    """The same of a graph that was read. Raises UserError as above."""
    import onnx
    from onnx import inliner

    if model.functions:
        model = inliner.inline_local_functions(model)
    graph = model.graph
    _store_constants(graph)
    stored = {tensor.name for tensor in graph.initializer}
    entries = [each for each in graph.input if each.name not in stored]
    if len(entries) != 1:
        raise UserError("an ONNX source takes images and nothing else", where=where, got=f"{len(entries)} inputs")
    channels, side, last = _image(entries[0], where)
    batch = entries[0].type.tensor_type.shape.dim[0].dim_value or None
    outputs = [each.name for each in graph.output]
    if wanted is not None and wanted not in outputs:
        raise unknown_name("output of the graph", wanted, outputs, where=where)
    output, softmax = _before_softmax(graph, wanted or outputs[0])
    del graph.input[:], graph.output[:], graph.value_info[:]
    shape = ["n", None, None, channels] if last else ["n", channels, None, None]
    graph.input.append(onnx.helper.make_tensor_value_info(entries[0].name, FLOAT, shape))
    graph.output.append(onnx.helper.make_tensor_value_info(output, FLOAT, None))
    _drop_unused(graph, output)
    words = {each.key: each.value for each in model.metadata_props}
    return Graph(model, entries[0].name, output, channels, side, last, softmax, words, batch)


def _store_constants(graph: Any) -> None:
    """Constants that are nodes become stored tensors, so that a layer whose weights they are is seen as one."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        given = {each.name: each for each in node.attribute}
        if "value" in given:
            tensor = graph.initializer.add()
            tensor.CopyFrom(given["value"].t)
            tensor.name = node.output[0]
            graph.node.remove(node)


def _image(entry: Any, where: str) -> tuple[int, int | None, bool]:
    """Channels, side and whether the channels lie last."""
    kind, sizes = entry.type.tensor_type.elem_type, [one.dim_value for one in entry.type.tensor_type.shape.dim]
    expected = "float images [N, 3, S, S] or [N, S, S, 3], N free"
    if kind != FLOAT or len(sizes) != 4:
        got = f"type {kind}, {len(sizes)} dimensions"
        raise UserError("this graph takes no float images", where=where, expected=expected, got=got)
    last = sizes[3] in CHANNELS and sizes[1] not in CHANNELS
    channels = sizes[3] if last else sizes[1]
    plane = sizes[1:3] if last else sizes[2:]
    if channels not in CHANNELS or len({size for size in plane if size > 0}) > 1:
        raise UserError("this graph takes no square images", where=where, expected=expected, got=str(sizes))
    return channels, max(plane) or None, last


def _before_softmax(graph: Any, output: str) -> tuple[str, bool]:
    """The output, or what goes into the softmax that gives it: sources give logits."""
    makers = {name: node for node in graph.node for name in node.output}
    name = output
    while name in makers and makers[name].op_type == "Identity":
        name = makers[name].input[0]
    if name in makers and makers[name].op_type == "Softmax":
        return makers[name].input[0], True
    return output, False


def _drop_unused(graph: Any, output: str) -> None:
    """Nodes and tensors that the output does not need."""
    needed, kept = {output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input) | _captured(node)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    kept.reverse()
    for field, left in ((graph.node, kept), (graph.initializer, tensors)):
        copies = [type(each).FromString(each.SerializeToString()) for each in left]
        del field[:]
        field.extend(copies)


def _captured(node: Any) -> set[str]:
    """Names that graphs inside a node use."""
    found: set[str] = set()
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for each in inner.node:
                found |= set(each.input) | _captured(each)
            found |= {one.name for one in inner.output}
    return found


def with_outputs(model: Any, names: list[str]) -> Any:
    """A copy of the model that also gives these inner values."""
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    there = {each.name for each in made.graph.output}
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
    return made


def classifier_entry(graph: Graph) -> str | None:
    """The value that the last layer with weights makes the scores of; None where there is none."""
    makers = {name: node for node in graph.nodes for name in node.output}
    stored = {tensor.name for tensor in graph.model.graph.initializer}
    name = graph.output
    while name in makers and makers[name].op_type in PASSING:
        inputs = [one for one in makers[name].input if one and one not in stored]
        if len(inputs) != 1:
            return None
        name = inputs[0]
    node = makers.get(name)
    return node.input[0] if node is not None and node.op_type in CLASSIFYING and node.input[1] in stored else None
