"""Without this file, a network could be used only whole: here it is traced and divided where one value crosses.

The trace is symbolic (torch.fx), in evaluation mode. Modules without children and those that timm declares untraceable
stay whole, so their modes (dropout, BatchNorm) still follow `train()` and `eval()` after the cut.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn
from torch.fx.proxy import TraceError

from transfuse.errors import UserError, first_line, many_problems
from transfuse.source.taps import still
from transfuse.types import Tap

# What networks that cannot be traced raise: branches on values, foreign calls on proxies, shapes used as numbers.
TRACE_FAILURES = (
    TraceError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError, LookupError, NameError,
)  # fmt: skip


@dataclass
class Traced:
    """A network as a graph; `entered` and `left` give the nodes of each module path, one a call."""

    network: nn.Module
    graph: fx.Graph
    entered: dict[str, list[fx.Node]] = field(default_factory=dict)
    left: dict[str, list[fx.Node]] = field(default_factory=dict)


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__()
        self.entered: dict[str, list[fx.Node]] = {}
        self.left: dict[str, list[fx.Node]] = {}
        factory = sys.modules.get("timm.models")
        self._whole: tuple[type, ...] = tuple(factory.get_notrace_modules()) if factory else ()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        childless = next(m.children(), None) is None
        return childless or isinstance(m, self._whole) or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        path = self.path_of_module(m)
        if args and isinstance(args[0], fx.Proxy):
            self.entered.setdefault(path, []).append(args[0].node)
        output = super().call_module(m, forward, args, kwargs)
        if isinstance(output, fx.Proxy):
            self.left.setdefault(path, []).append(output.node)
        return output


def trace(network: nn.Module, *, where: str = "") -> Traced:
    """The network's graph. Raises UserError where its Python code cannot be traced."""
    tracer = _Tracer()
    try:
        with still(network):
            graph = tracer.trace(network, concrete_args=_defaults(network))
    except TRACE_FAILURES as error:
        raise UserError(
            "this network cannot be cut: its code does not follow a fixed graph",
            where=where,
            got=first_line(error),
            hint="use its taps, or train it whole",
        ) from error
    return Traced(network, graph, tracer.entered, tracer.left)


def _defaults(network: nn.Module) -> dict[str, Any]:
    """The optional arguments of `forward` at their defaults, so that they are constants and no values that cross."""
    parameters = inspect.signature(network.forward).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}


def value_of(traced: Traced, tap: Tap, *, where: str = "") -> fx.Node:
    """The graph's value at a tap. Raises UserError for a place inside a module that the trace keeps whole."""
    if not tap.place:
        return _output(traced.graph)
    nodes = (traced.entered if tap.side == "input" else traced.left).get(tap.place, [])
    if len(nodes) != 1:
        raise UserError(f"no cut at '{tap.name}': the graph has no such value", where=where, got=f"place '{tap.place}'")
    return nodes[0]


def _output(graph: fx.Graph) -> fx.Node:
    value = next(node for node in graph.nodes if node.op == "output").args[0]
    if not isinstance(value, fx.Node):
        raise UserError("this network cannot be cut: its output is not one tensor")
    return value


def _ancestors(node: fx.Node, stop: fx.Node | None = None) -> list[fx.Node]:
    """The node and all it needs, in the graph's order; what only `stop` needs is left out."""
    found, pending = {node}, [node]
    while pending:
        current = pending.pop()
        fresh = [parent for parent in current.all_input_nodes if parent not in found] if current is not stop else []
        found.update(fresh)
        pending.extend(fresh)
    return [node for node in node.graph.nodes if node in found]


def _follows_input(graph: fx.Graph) -> set[fx.Node]:
    """The nodes whose value depends on the network's input; the others (parameters) belong to both sides of a cut."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or any(parent in found for parent in node.all_input_nodes):
            found.add(node)
    return found


def crossing(traced: Traced, tap: Tap, *, where: str = "") -> list[fx.Node]:
    """The values that what follows the tap needs from what lies before it; a cut needs it to be the tap alone."""
    value, output = value_of(traced, tap, where=where), _output(traced.graph)
    if value is output:
        return [value]
    follows = _follows_input(traced.graph)
    front = [node for node in _ancestors(value) if node in follows]
    behind = set(_ancestors(output)).difference(front)
    return [node for node in front if any(user in behind for user in node.users)]


def divide(traced: Traced, tap: Tap, *, where: str = "") -> tuple[fx.GraphModule, fx.GraphModule]:
    """The network before and after a tap, sharing its parameters.

    Raises UserError naming every crossing value where there is another than the tap's own.
    """
    value = value_of(traced, tap, where=where)
    across = crossing(traced, tap, where=where)
    if across != [value]:
        names = sorted(_name(node) for node in across)
        raise many_problems(f"no cut at '{tap.name}': these values cross there", names, where=where)
    return _part(traced, None, value), _part(traced, value, _output(traced.graph))


def stretch(traced: Traced, begin: Tap | None, end: Tap, *, where: str = "") -> fx.GraphModule:
    """The network from one tap (None: its input) to a later one, sharing its parameters.

    Raises UserError naming every value that crosses the beginning beside its own on the way to the end, and where the
    end does not follow from the beginning.
    """
    last = value_of(traced, end, where=where)
    if begin is None:
        return _part(traced, None, last)
    first = value_of(traced, begin, where=where)
    front, needed = set(_ancestors(first)), _ancestors(last)
    if first not in needed or first is last:
        raise UserError(f"'{end.name}' does not follow from '{begin.name}'", where=where, hint="name an earlier tap")
    follows = _follows_input(traced.graph)
    behind = set(needed).difference(front)
    across = [node for node in front if node in follows and any(user in behind for user in node.users)]
    if across != [first]:
        names = sorted(_name(node) for node in across)
        raise many_problems(f"no cut at '{begin.name}': these values cross there", names, where=where)
    return _part(traced, first, last)


def cuttable(traced: Traced, taps: Iterable[Tap]) -> set[str]:
    """The names of the taps where exactly one value crosses to the output, found in one walk over the graph."""
    output = _output(traced.graph)
    follows = _follows_input(traced.graph)
    path = [node for node in _ancestors(output) if node in follows]
    place = {node: index for index, node in enumerate(path)}
    # A value that crosses alone is one that no edge jumps over, in whatever order the graph stands.
    reach, alone = 0, set()
    for index, node in enumerate(path):
        if reach <= index:
            alone.add(node)
        reach = max([reach, *(place[user] for user in node.users if user in place)])
    found = set()
    for tap in taps:
        nodes = (
            [output] if not tap.place else (traced.entered if tap.side == "input" else traced.left).get(tap.place, [])
        )
        if len(nodes) == 1 and nodes[0] in alone and nodes[0] is not output:
            found.add(tap.name)
    return found


def _name(node: fx.Node) -> str:
    return str(node.target) if node.op in ("call_module", "placeholder") else node.name


def _part(traced: Traced, first: fx.Node | None, last: fx.Node) -> fx.GraphModule:
    """The graph from `first` (given as the input; None: the network's own input) to `last`."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    if first is not None:
        copies[first] = graph.placeholder("block")
    for node in _ancestors(last, stop=first):
        if node is not first:
            copies[node] = graph.node_copy(node, lambda parent: copies[parent])
    graph.output(copies[last])
    return fx.GraphModule(traced.network, graph)
