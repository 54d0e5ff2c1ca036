"""A graph that onnxruntime computes: without it a graph that PyTorch cannot express could be no source at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.errors import UserError, first_line
from transfuse.files.graphs import session_of
from transfuse.source.foreign import LOGITS, Foreign
from transfuse.source.frameworks.onnx_graph import Graph, classifier_entry, with_outputs

COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul")
# Where the weights of an operator stand among its inputs; elsewhere second.
WEIGHTS = {"QLinearConv": 3, "QLinearMatMul": 3}


def probing(side: int | None) -> tuple[int, ...]:
    """The sides a graph is tried at, best first."""
    return (side,) if side else (64, 224)


def as_given(graph: Graph, images: np.ndarray) -> np.ndarray:
    """Images [N, C, S, S] as the graph takes them."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1) if graph.last else images, dtype=np.float32)


class Runtime(Foreign):
    """A graph on one thread of onnxruntime. Copies and processes get a session of their own, made when it is asked."""

    def __init__(self, graph: Graph, shown: Mapping[str, str], where: str) -> None:
        stored = sum(math.prod(tensor.dims) for tensor in graph.model.graph.initializer)
        super().__init__(tuple(shown), stored)
        self.graph, self.places, self.where = graph, {**shown, LOGITS: graph.output}, where
        self._model = with_outputs(graph.model, list(shown.values()))
        self._session: Any = None
        self._counted: dict[tuple[int, ...], int] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}

    def answer(self, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Raises ValueError where the graph does not take images of this size."""
        if self._session is None:
            self._session = session_of(self._model, self.where)
        found = asked(self._session, self.graph, images, list(self.places.values()))
        blocks = dict(zip(self.places, found, strict=True))
        if "vector" in blocks and blocks["vector"].ndim > 2:
            plane = (2, 3) if blocks["vector"].ndim == 4 else (1,)
            blocks["vector"] = blocks["vector"].mean(axis=plane)
        return blocks

    def flops(self, shape: tuple[int, ...]) -> int:
        """Counted from the shapes of one item's pass; what is no product of matrices counts nothing, as in PyTorch."""
        one = (1, *shape[1:])
        if one not in self._counted:
            self._counted[one] = flops_of(self.graph, one, self.where)
        return shape[0] * self._counted[one]


def asked(session: Any, graph: Graph, images: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """Values of one pass by name. Raises ValueError where the runtime refuses the images."""
    try:
        return [np.asarray(value) for value in session.run(names, {graph.entry: as_given(graph, images)})]
    except Exception as error:  # noqa: BLE001 - the runtime's exceptions have no common base
        raise ValueError(f"onnxruntime: {first_line(error)}") from error


def flops_of(graph: Graph, shape: tuple[int, ...], where: str) -> int:
    """FLOPs of one pass, 2 per multiply-add, from the shapes that products of matrices have in it."""
    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.model.graph.initializer}
    products = [node for node in graph.nodes if node.op_type in COUNTED]
    names = {name for node in products for name in (*node.input, *node.output) if name and name not in sizes}
    inner = sorted(names - {graph.entry})
    found = asked(session_of(with_outputs(graph.model, inner), where), graph, np.zeros(shape, np.float32), inner)
    sizes |= {graph.entry: (shape[0], *shape[2:], shape[1]) if graph.last else shape}
    sizes |= {name: value.shape for name, value in zip(inner, found, strict=True)}
    return sum(_product(node, sizes) for node in products)


def _product(node: Any, sizes: Mapping[str, tuple[int, ...]]) -> int:
    weights = sizes[node.input[WEIGHTS.get(node.op_type, 1)]]
    given, made = sizes[node.input[0]], sizes[node.output[0]]
    if node.op_type == "ConvTranspose":
        return 2 * math.prod(given) * math.prod(weights[1:])
    if "Conv" in node.op_type:
        return 2 * math.prod(made) * math.prod(weights[1:])
    turned = any(each.name == "transA" and each.i for each in node.attribute)
    return 2 * math.prod(made) * (given[0] if turned else given[-1])


def runtime(graph: Graph, where: str) -> Runtime:
    """The graph with what it can show: what goes into its classifier, and the last block before that."""
    names = [name for node in graph.nodes for name in node.output if name and name != graph.output]
    entry, refused = classifier_entry(graph), ""
    for side in probing(graph.side):
        images = np.linspace(-1, 1, 2 * graph.channels * side * side, dtype=np.float32)
        images = images.reshape(2, graph.channels, side, side)
        try:
            values = _values(graph, images, names, where)
        except ValueError as error:
            refused = str(error)
            continue
        shown = {"vector": entry} if entry in values and values[entry].ndim in (2, 3, 4) else {}
        before = names[: names.index(entry)] if entry in names else names
        deep = [name for name in before if _is_block(values.get(name))]
        shown |= {("map" if values[deep[-1]].ndim == 4 else "tokens"): deep[-1]} if deep else {}
        return Runtime(graph, shown, where)
    raise UserError("this graph does not take images", where=where, got=refused)


def _values(graph: Graph, images: np.ndarray, names: list[str], where: str) -> dict[str, np.ndarray]:
    session = session_of(with_outputs(graph.model, names), where)
    return dict(zip(names, asked(session, graph, images, names), strict=True))


def _is_block(value: np.ndarray | None) -> bool:
    """A map [2, C, H, W] with more than one place, or tokens [2, T, D]."""
    if value is None or value.dtype != np.float32 or value.shape[:1] != (2,):
        return False
    return value.ndim == 3 or (value.ndim == 4 and min(value.shape[2:]) > 1 and value.shape[2] == value.shape[3])
