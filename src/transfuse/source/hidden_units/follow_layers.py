"""How layers with weights pass hidden units on: mixed into new ones, kept one by one, or mixed within blocks."""

from __future__ import annotations

from typing import Any

from torch import nn

from transfuse.source.hidden_units.follower import Follower, layer
from transfuse.source.hidden_units.unit_labels import UnitLabel
from transfuse.source.hidden_units.units import Part, Segment, join, refine, resolved


def linear(follower: Follower, node: Any, module: Any) -> UnitLabel:
    label, last = follower.label(node.args[0]), len(follower.shape(node.args[0])) - 1
    made = layer(follower, str(node.target), label.units.get(last), (module.out_features, 1))
    rest = {dim: segments for dim, segments in label.units.items() if dim != last}
    UnitLabel({}, label.heads).pin("a linear layer inside heads")
    return follower.show(node, UnitLabel({**rest, last: [(made, 1)]}))


def convolution(follower: Follower, node: Any, module: Any) -> UnitLabel | None:
    label, name = follower.label(node.args[0]), str(node.target)
    into = label.units.get(1)
    if set(label.units) - {1} or label.heads is not None:
        return None
    if module.groups == 1:
        return follower.show(node, UnitLabel({1: [(layer(follower, name, into, (module.out_channels, 1)), 1)]}))
    if into is None:
        return UnitLabel()
    return _in_groups(follower, node, module, resolved(into))


def _in_groups(follower: Follower, node: Any, module: Any, into: list[Segment]) -> UnitLabel | None:
    name, groups = str(node.target), module.groups
    if groups == module.in_channels:
        times = module.out_channels // module.in_channels
        made = [(part, repeat * times) for part, repeat in into]
    else:
        if len(into) != 1 or into[0][1] != 1:
            return None
        part = refine(into[0][0], groups, f"the grouped convolution {name} needs blocks of another size")
        if part is None:
            return None
        follower.inner[f"{name}.weight"] = part
        made = [(Part(part.order, module.out_channels // groups), 1)]
    for tensor in ("weight", "bias"):
        if follower.has(f"{name}.{tensor}"):
            follower.record(f"{name}.{tensor}", 0, made)
    return follower.show(node, UnitLabel({1: made}))


def norm(follower: Follower, node: Any, module: Any) -> UnitLabel | None:
    """BatchNorm over channels, LayerNorm over the last axis: each unit keeps its own numbers."""
    label = follower.label(node.args[0])
    channels_first = isinstance(module, nn.modules.batchnorm._BatchNorm) or type(module).__name__ == "LayerNorm2d"
    dim = 1 if channels_first else len(follower.shape(node.args[0])) - 1
    if label.heads is not None or (isinstance(module, nn.LayerNorm) and len(module.normalized_shape) != 1):
        return None
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        if follower.has(f"{node.target}.{tensor}") and dim in label.units:
            follower.record(f"{node.target}.{tensor}", 0, label.units[dim])
    return follower.show(node, label)


def group_norm(follower: Follower, node: Any, module: Any) -> UnitLabel | None:
    label = follower.label(node.args[0])
    found = resolved(label.units.get(1, []))
    if module.num_groups > 1 and (len(found) != 1 or found[0][1] != 1):
        return None
    if module.num_groups > 1 and refine(found[0][0], module.num_groups, "a group norm needs other blocks") is None:
        return None
    return norm_of_channels(follower, node, label)


def norm_of_channels(follower: Follower, node: Any, label: UnitLabel) -> UnitLabel:
    for tensor in ("weight", "bias"):
        if follower.has(f"{node.target}.{tensor}") and 1 in label.units:
            follower.record(f"{node.target}.{tensor}", 0, label.units[1])
    return follower.show(node, label)


def scale(follower: Follower, node: Any, module: Any) -> UnitLabel | None:
    """A number for each unit of the last axis (layer scale)."""
    label, last = follower.label(node.args[0]), len(follower.shape(node.args[0])) - 1
    if last in label.units:
        follower.record(f"{node.target}.gamma", 0, label.units[last])
    return label


def batch_norm(follower: Follower, node: Any) -> UnitLabel | None:
    label = follower.label(node.args[0])
    given = [*node.args[1:5], *(node.kwargs.get(name) for name in ("running_mean", "running_var", "weight", "bias"))]
    for one in given:
        known = follower.label(one).units.get(0)
        if known:
            join(known, label.units.get(1, []), "a norm of what has an order of its own")
    return follower.show(node, label)
