"""An ONNX graph as a PyTorch network that trains: without it what came from another framework could only be read.

onnx2pytorch makes each operator a module; here they are strung into one plain graph, so that taps, cuts and the rest of
the house see a network like any other. Stored numbers that take part in a layer's work (shifts, scales, embeddings) are
parameters; those that only say how (shapes, bounds, single numbers, what stands before the first layer) are not.
"""

from __future__ import annotations

import keyword
import math
import re
import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from transfuse.errors import missing_extra
from transfuse.source.frameworks.onnx_graph import Graph

# By operator, which inputs are learned where they are stored numbers, and what a fresh draw of them is.
LEARNED = {
    "Add": {0: "shift", 1: "shift"}, "Sub": {1: "shift"}, "Mul": {0: "scale", 1: "scale"}, "Div": {1: "scale"},
    "MatMul": {0: "matrix", 1: "matrix"}, "PRelu": {1: "slope"}, "Gather": {0: "table"},
    "Concat": {0: "table", 1: "table"}, "Expand": {0: "table"}, "LayerNormalization": {1: "scale", 2: "shift"},
    "GroupNormalization": {1: "scale", 2: "shift"}, "RMSNormalization": {1: "scale"},
}  # fmt: skip
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
CANNOT = (
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    NotImplementedError,
    AttributeError,
    IndexError,
    AssertionError,
)


class Kept(nn.Module):
    """The stored numbers that are no layer's own: learned ones as parameters, others as buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.roles: dict[str, str] = {}

    def reset_parameters(self) -> None:
        """Start again: scales 1, shifts 0, slopes 1/4, matrices as in a linear layer, tables normal, deviation 0.02."""
        for name, parameter in self.named_parameters():
            role = self.roles[name]
            with torch.no_grad():
                if role == "matrix":
                    bound = 1 / math.sqrt(parameter.shape[-2] if parameter.dim() > 1 else len(parameter))
                    parameter.uniform_(-bound, bound)
                elif role == "table" or (role == "shift" and sum(size > 1 for size in parameter.shape) > 1):
                    parameter.normal_(0, 0.02)
                else:
                    parameter.fill_({"scale": 1.0, "shift": 0.0, "slope": 0.25}[role])


class Gather(nn.Module):
    """Rows of a tensor along an axis, by numbers that may count from its end."""

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, values: Tensor, places: Tensor) -> Tensor:
        """[..., S, ...] at places [*P] → [..., *P, ...]."""
        axis = self.axis % values.dim()
        flat = places.reshape(-1).to(torch.int64) % values.shape[axis]
        shape = (*values.shape[:axis], *places.shape, *values.shape[axis + 1 :])
        return values.index_select(axis, flat).reshape(shape)


class Slice(nn.Module):
    """A stretch of a tensor along some axes, forwards."""

    def forward(
        self, values: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
    ) -> Tensor:
        """Raises NotImplementedError for steps backwards."""
        count = len(starts)
        along = list(range(count)) if axes is None else [int(axis) for axis in axes]
        by = [1] * count if steps is None else [int(step) for step in steps]
        if any(step < 1 for step in by):
            raise NotImplementedError("a slice that goes backwards")
        places = [slice(None)] * values.dim()
        for axis, start, end, step in zip(along, starts.tolist(), ends.tolist(), by, strict=True):
            most = values.shape[axis]
            places[axis] = slice(max(min(start, most), -most), max(min(end, most), -most), step)
        return values[tuple(places)]


@dataclass(frozen=True)
class Move:
    """One operator: the child or function that does it, the values and stored tensors it takes, and what it gives.

    `spread` says that it gives several; `done` are the values that nobody needs after it.
    """

    name: str
    takes: tuple[tuple[str, str] | None, ...]
    gives: tuple[str, ...]
    spread: bool
    done: tuple[str, ...] = ()


class Strung(nn.Module):
    """The operators of a graph, one after the other: images [N, C, S, S] in, logits out."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.entry, self.output, self.last = graph.entry, graph.output, graph.last
        self.kept = Kept()
        self.moves: tuple[Move, ...] = ()

    def forward(self, images: Tensor) -> Tensor:
        values = {self.entry: images.permute(0, 2, 3, 1) if self.last else images}
        for move in self.moves:
            found = getattr(self, move.name)(*[self._taken(values, one) for one in move.takes])
            if not move.spread or (len(move.gives) == 1 and isinstance(found, Tensor)):
                found = [found]
            values |= {name: found[index] for index, name in enumerate(move.gives)}
            for name in move.done:
                del values[name]
        return values[self.output]

    def _taken(self, values: dict[str, Tensor], one: tuple[str, str] | None) -> Tensor | None:
        if one is None:
            return None
        return values[one[1]] if one[0] == "value" else getattr(self.kept, one[1])

    def loose(self) -> list[nn.Parameter]:
        """The learned numbers that belong to no layer."""
        return list(self.kept.parameters())


class Join(nn.Module):
    """Tensors one after the other along an axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, self.dim)


def converted(graph: Graph) -> nn.Module:
    """The graph as a PyTorch network. Raises one of `CANNOT` where an operator has no such form."""
    try:
        from onnx2pytorch import ConvertModel
    except ImportError as error:
        raise missing_extra("onnx2pytorch", "onnx", "training an ONNX source") from error
    with warnings.catch_warnings():
        # It warns of domains that no operator of the graph is of, and of numpy arrays that it does not write into.
        warnings.simplefilter("ignore")
        made = ConvertModel(_copy(graph.model))
    network = _Stringer(graph, made).network()
    for module in network.modules():
        if isinstance(module, nn.Linear):
            # The converter turns weights around without saying so of the layer.
            module.weight = nn.Parameter(module.weight.detach().contiguous())
            module.out_features, module.in_features = module.weight.shape
    return network.eval()


def _copy(model: Any) -> Any:
    """The converter joins nodes of what it is given."""
    made = type(model)()
    made.CopyFrom(model)
    return made


class _Stringer:
    """Strings the converter's operators together, in the file's order."""

    def __init__(self, graph: Graph, made: Any) -> None:
        from onnx2pytorch.constants import COMPOSITE_LAYERS, MULTIOUTPUT_LAYERS, STANDARD_LAYERS

        self.made, self.strung = made, Strung(graph)
        self.kinds = (STANDARD_LAYERS, MULTIOUTPUT_LAYERS, COMPOSITE_LAYERS)
        self.names = {graph.entry: graph.entry}
        self.behind: set[str] = set()
        self.places: dict[str, str] = {}
        self.moves: list[Move] = []

    def network(self) -> Strung:
        for node in self.made.onnx_model.graph.node:
            self._add(node)
        network = self.strung
        network.output = self.names[network.output]
        last = {
            one[1]: index for index, move in enumerate(self.moves) for one in move.takes if one and one[0] == "value"
        }
        for index, move in enumerate(self.moves):
            done = [name for name, at in last.items() if at == index]
            done += [name for name in move.gives if name not in last]
            self.moves[index] = replace(move, done=tuple(name for name in done if name != network.output))
        network.moves = tuple(self.moves)
        return network

    def _add(self, node: Any) -> None:
        operator = self._operator(node)
        takes = self._takes(node, operator)
        if node.op_type in LAYERS or self.behind & set(node.input):
            self.behind |= set(node.output)
        if isinstance(operator, nn.Identity) and takes[0] is not None and takes[0][0] == "value":
            self.names[node.output[0]] = takes[0][1]
            return
        self.names |= {name: name for name in node.output}
        name = _plain(f"{node.op_type}_{node.output[0]}", self.strung)
        self.strung.add_module(name, operator)
        self.moves.append(Move(name, tuple(takes), tuple(node.output), self._is(operator, 1)))

    def _operator(self, node: Any) -> nn.Module:
        operator = getattr(self.made, self.made.mapping[node.output[0]])
        given = {each.name: each.i for each in node.attribute}
        # Those of the converter warn of PyTorch's next version at every call.
        if node.op_type == "Gather":
            return Gather(given.get("axis", 0))
        if node.op_type == "Slice" and len(node.input) > 1:
            return Slice()
        if isinstance(operator, partial) and operator.func is torch.cat:
            return Join(**operator.keywords)
        if not isinstance(operator, nn.Module) or hasattr(operator, "subgraph_mappings"):
            raise NotImplementedError(f"the operator {node.op_type} holds a graph of its own")
        return operator

    def _is(self, operator: Any, kind: int) -> bool:
        """Whether an operator is of a kind, by itself or in what it is composed of."""
        composed = isinstance(operator, self.kinds[2]) and any(
            isinstance(part, self.kinds[kind]) for part in operator.modules()
        )
        return composed or isinstance(operator, self.kinds[kind])

    def _takes(self, node: Any, operator: Any) -> list[tuple[str, str] | None]:
        found: list[tuple[str, str] | None] = []
        for index, name in enumerate(node.input):
            if name in self.names:
                found.append(("value", self.names[name]))
            elif not self._is(operator, 0):
                found.append(("kept", self._stored(node, index, name)) if name else None)
        while found and found[-1] is None:
            found.pop()
        return found

    def _stored(self, node: Any, index: int, name: str) -> str:
        """A stored tensor as a parameter or buffer of `kept`."""
        from onnx2pytorch.convert.operations import get_init_parameter

        kept = self.strung.kept
        if name not in self.places:
            tensor: Tensor = get_init_parameter([self.made], name).detach().clone()  # pyright: ignore[reportAttributeAccessIssue]
            role = LEARNED.get(node.op_type, {}).get(index)
            place = _plain(name, kept)
            at_work = node.op_type not in ("Add", "Sub", "Mul", "Div") or bool(self.behind & set(node.input))
            if role and at_work and tensor.is_floating_point() and tensor.numel() > 1:
                kept.register_parameter(place, nn.Parameter(tensor))
                kept.roles[place] = role
            else:
                kept.register_buffer(place, tensor)
            self.places[name] = place
        return self.places[name]


def _plain(text: str, owner: nn.Module) -> str:
    """A name that Python and a module take, not yet given."""
    plain = re.sub(r"\W+", "_", text).strip("_") or "value"
    plain = f"value_{plain}" if plain[0].isdigit() or keyword.iskeyword(plain) else plain
    made, number = plain, 1
    while hasattr(owner, made):
        made, number = f"{plain}_{number}", number + 1
    return made
