"""Which axes of which tensors share one hidden unit order: without it networks were aligned by hand-made lists.

The network is traced and run once on a small batch, so that shapes are known; labels then follow the values from layer
to layer. Additions join the orders of what they add (a residual stream is one order), depthwise convolutions, norms and
gates keep the order they are given, grouped convolutions and attention heads make blocks. An operation that cannot be
followed pins what goes into it: that order is left alone, with the reason, and the rest can still be turned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from transfuse.errors import UserError
from transfuse.source.hidden_units.follow import FUNCTIONS, module_rule
from transfuse.source.hidden_units.follower import Follower
from transfuse.source.hidden_units.unit_labels import UnitLabel
from transfuse.source.hidden_units.units import Order, Part, Segment, resolved
from transfuse.source.trace import trace


@dataclass(frozen=True)
class Piece:
    """A run of an axis: the units of a part, each taking `repeat` places; part -1 is `length` places that stay."""

    part: int
    length: int
    repeat: int = 1


@dataclass(frozen=True)
class Place:
    """A value that shows a part's units: a node of the graph, the dimension, and where on it they begin."""

    node: str
    dim: int
    begin: int
    repeat: int


@dataclass(frozen=True)
class Groups:
    """All orders that may be turned: blocks by order, (order, width) by part, and the axes of tensors they lie on.

    `inner` names the kernels of grouped convolutions, whose second axis holds the units of one block of this part.
    `places` are the values that show each part; `pinned` says what stays where it is, and why.
    """

    orders: tuple[int, ...]
    parts: tuple[tuple[int, int], ...]
    axes: Mapping[str, Mapping[int, tuple[Piece, ...]]]
    inner: Mapping[str, int]
    places: Mapping[int, tuple[Place, ...]]
    pinned: tuple[tuple[str, str], ...] = ()

    def of_order(self, order: int) -> list[int]:
        """The parts of an order."""
        return [part for part, (owner, _) in enumerate(self.parts) if owner == order]

    def size(self, part: int) -> int:
        """How many units a part has in all."""
        order, width = self.parts[part]
        return self.orders[order] * width


def find_groups(network: nn.Module, example: Tensor, *, where: str = "") -> Groups:
    """The groups of a network, from one pass over `example` [N, ...] with N at least 2.

    Raises UserError where the network cannot be traced, or where no order can be turned, with the reasons.
    """
    traced = trace(network, where=where)
    follower = _followed(network, traced.graph, example)
    made = _Numbered()
    for name, axes in follower.axes.items():
        for axis, segments in axes.items():
            made.axis(name, axis, segments)
    inner = {name: made.part(part) for name, part in follower.inner.items()}
    groups = Groups(
        tuple(order.count for order in made.orders),
        tuple((made.orders.index(part.order.found()), part.width) for part in made.parts),
        made.axes,
        {name: part for name, part in inner.items() if part >= 0},
        made.places(follower.shown),
        tuple(dict.fromkeys((name, why) for name, why in made.pinned)),
    )
    if not groups.orders:
        why = "; ".join(sorted({reason for _, reason in groups.pinned})[:5]) or "it has no hidden units"
        raise UserError("no hidden unit of this network can be reordered", where=where, got=why)
    return groups


def _followed(network: nn.Module, graph: fx.Graph, example: Tensor) -> Follower:
    """Labels put through the whole graph, beside the values of one pass."""
    follower = Follower(network)
    runner = fx.Interpreter(fx.GraphModule(network, graph))
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    values: dict[fx.Node, Any] = {}
    runner.env = values
    inputs = iter([example])
    try:
        with torch.no_grad():
            for node in graph.nodes:
                arguments = runner.fetch_args_kwargs_from_env(node)
                if node.op == "placeholder":
                    given = next(inputs, None)
                    values[node] = node.args[0] if given is None and node.args else given
                    continue
                # In-place layers would change the shapes' owners only in content, which labels do not look at.
                values[node] = getattr(runner, node.op)(node.target, *arguments)
                follower.labels[node] = _label(follower, node, values)
    finally:
        for module, mode in modes:
            module.training = mode
    return follower


def _label(follower: Follower, node: fx.Node, values: Mapping[fx.Node, Any]) -> Any:
    follower.values = values
    if node.op == "get_attr":
        return follower.parameter(node)
    if node.op == "output":
        follower.pin_inputs(node, "it is the network's output")
        return UnitLabel()
    if node.op == "call_module":
        module = follower.network.get_submodule(str(node.target))
        rule = module_rule(module)
        made = None if rule is None else rule(follower, node, module)
    else:
        name = node.target if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
        rule = FUNCTIONS.get(str(name).removesuffix("_"))
        made = None if rule is None else rule(follower, node)
    if made is None:
        follower.pin_inputs(node, f"'{follower.said(node)}' is an operation that is not followed")
        return UnitLabel()
    return made


@dataclass
class _Numbered:
    """Parts and orders by number, in the order in which tensors meet them."""

    orders: list[Order] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    axes: dict[str, dict[int, tuple[Piece, ...]]] = field(default_factory=dict)
    pinned: list[tuple[str, str]] = field(default_factory=list)

    def part(self, part: Part) -> int:
        """The number of a part; -1 where its order is pinned or is one block of one unit."""
        ((fine, _),) = resolved([(part, 1)])[:1]
        order = fine.order.found()
        if order.pinned or (order.count == 1 and fine.width == 1):
            return -1
        if order not in self.orders:
            self.orders.append(order)
        if fine not in self.parts:
            self.parts.append(fine)
        return self.parts.index(fine)

    def axis(self, name: str, axis: int, segments: list[Segment]) -> None:
        pieces = []
        for part, repeat in resolved(segments):
            number = self.part(part)
            pieces.append(Piece(number, part.size * repeat, repeat))
            if number < 0 and part.order.found().pinned:
                self.pinned.append((name, part.order.found().pinned))
        if any(piece.part >= 0 for piece in pieces):
            self.axes.setdefault(name, {})[axis] = tuple(pieces)

    def places(self, shown: list[tuple[str, int, list[Segment]]]) -> dict[int, tuple[Place, ...]]:
        found: dict[int, list[Place]] = {}
        for node, dim, segments in shown:
            begin = 0
            for part, repeat in resolved(segments):
                if part in self.parts:
                    found.setdefault(self.parts.index(part), []).append(Place(node, dim, begin, repeat))
                begin += part.size * repeat
        return {part: tuple(places) for part, places in found.items()}
