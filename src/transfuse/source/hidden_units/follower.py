"""What is known while a trace is followed: without it rules would have to agree on where they leave what they find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx, nn

from transfuse.source.hidden_units.unit_labels import UnitLabel, whole
from transfuse.source.hidden_units.units import Part, Segment, free, join, pin


class Follower:
    """Labels by node, the axes that tensors were found to hold, and the values of one pass."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.labels: dict[fx.Node, Any] = {}
        self.values: Mapping[fx.Node, Any] = {}
        self.axes: dict[str, dict[int, list[Segment]]] = {}
        self.inner: dict[str, Part] = {}
        self.shown: list[tuple[str, int, list[Segment]]] = []
        tensors = [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]
        self._names: dict[int, list[str]] = {}
        for name, tensor in tensors:
            self._names.setdefault(id(tensor), []).append(name)
        self._tensors = dict(tensors)

    def label(self, node: Any) -> UnitLabel:
        """What is known of a value; of what is no tensor, nothing."""
        made = self.labels.get(node) if isinstance(node, fx.Node) else None
        return made if isinstance(made, UnitLabel) else UnitLabel()

    def shape(self, node: Any) -> tuple[int, ...]:
        value = self.values.get(node) if isinstance(node, fx.Node) else None
        return tuple(value.shape) if isinstance(value, Tensor) else ()

    def said(self, node: fx.Node) -> str:
        """How messages name a node."""
        if node.op == "call_module":
            return f"{type(self.network.get_submodule(str(node.target))).__name__} {node.target}"
        return str(node.target if node.op == "call_method" else getattr(node.target, "__name__", node.target))

    def pin_inputs(self, node: fx.Node, reason: str) -> None:
        """Let everything that goes into a node stay where it is."""
        for parent in node.all_input_nodes:
            made = self.labels.get(parent)
            for label in made if isinstance(made, list) else [made]:
                if isinstance(label, UnitLabel):
                    label.pin(reason)

    def record(self, name: str, axis: int, segments: list[Segment]) -> None:
        """An axis of a tensor holds these units; tensors that are one by several names hold them alike."""
        tensor = self._tensors.get(name)
        if tensor is None or not segments or not whole(segments, tensor.shape[axis]):
            pin(segments, f"'{name}' does not hold them as it should")
            return
        for alias in self._names[id(tensor)]:
            known = self.axes.setdefault(alias, {}).setdefault(axis, segments)
            join(known, segments, f"'{name}' is used in two ways")

    def has(self, name: str) -> bool:
        return name in self._tensors

    def parameter(self, node: fx.Node) -> UnitLabel:
        """A tensor that the network uses by itself: every axis longer than one holds units of its own."""
        name, value = str(node.target), self.values.get(node)
        if not isinstance(value, Tensor) or not self.has(name):
            return UnitLabel()
        units = {}
        for axis, size in enumerate(value.shape):
            if size > 1:
                known = self.axes.get(name, {}).get(axis) or [(free(size), 1)]
                self.record(name, axis, known)
                units[axis] = known
        return UnitLabel(units)

    def show(self, node: fx.Node, label: UnitLabel) -> UnitLabel:
        """Remember that a value shows its units."""
        self.shown += [(node.name, dim, segments) for dim, segments in label.units.items()]
        return label


def layer(follower: Follower, name: str, into: list[Segment] | None, out: tuple[int, int]) -> Part:
    """Weight and bias of a layer that mixes what it is given into new units; `out` is their number and a repeat."""
    made = free(out[0])
    if into:
        follower.record(f"{name}.weight", 1, into)
    follower.record(f"{name}.weight", 0, [(made, 1)])
    if follower.has(f"{name}.bias"):
        follower.record(f"{name}.bias", 0, [(made, 1)])
    return made
