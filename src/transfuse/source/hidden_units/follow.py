"""How each kind of layer passes hidden units on: without these rules a trace would be a list of names.

A rule takes the follower, a node (and the module it calls) and gives the label of its value, or None for "not
followed", which pins what went in. One rule for each way of treating units, not one for each layer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from transfuse.source.hidden_units.follow_heads import attended, attention, multiplied, parted
from transfuse.source.hidden_units.follow_layers import batch_norm, convolution, group_norm, linear, norm, scale
from transfuse.source.hidden_units.follower import Follower
from transfuse.source.hidden_units.unit_labels import UnitLabel, picked, reshaped
from transfuse.source.hidden_units.units import Part, Segment, free, join, pin


def same(follower: Follower, node: Any, module: Any = None) -> UnitLabel | None:
    """Units stay where they are: activations, dropout, pooling over the plane, copies."""
    before, after = follower.shape(node.args[0]), follower.shape(node)
    label = follower.label(node.args[0])
    if len(before) != len(after) or any(before[dim] != after[dim] for dim in label.units):
        return None
    return follower.show(node, label)


def flattened(follower: Follower, node: Any, module: Any = None) -> UnitLabel:
    """Reshapes of every kind, squeezing included: the shapes tell what happened."""
    before, after = follower.shape(node.args[0]), follower.shape(node)
    return reshaped(follower.label(node.args[0]), before, after, f"'{follower.said(node)}' mixes units with places")


def together(follower: Follower, node: Any) -> UnitLabel | None:
    """Sums and products entry by entry: what lies on one axis is one order."""
    operands = [one for one in node.args[:2] if isinstance(one, fx.Node) and follower.shape(one)]
    shape = follower.shape(node)
    made: dict[int, list[Segment]] = {}
    heads = next((follower.label(one).heads for one in operands if follower.label(one).heads), None)
    for dim in range(len(shape)):
        held = []
        for one in operands:
            own = dim - len(shape) + len(follower.shape(one))
            if own < 0 or (follower.shape(one)[own] == 1 and shape[dim] != 1):
                continue
            held.append(follower.label(one).units.get(own))
        known = [segments for segments in held if segments]
        if len(known) == len(held) and known:
            for other in known[1:]:
                join(known[0], other, f"'{follower.said(node)}' adds units that cannot be matched")
            made[dim] = known[0]
        else:
            for segments in known:
                pin(segments, f"'{follower.said(node)}' adds them to what has an order of its own")
    if heads is not None and len([one for one in operands if follower.shape(one)]) > 1:
        return None
    return follower.show(node, UnitLabel(made, heads))


def beside(follower: Follower, node: Any) -> UnitLabel | None:
    """Concatenation: along the axis of units their segments follow each other, along another they are the same."""
    parts = list(node.args[0]) if isinstance(node.args[0], list | tuple) else []
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    dim = int(dim) % len(follower.shape(node))
    labels = [follower.label(part) for part in parts]
    if any(label.heads for label in labels):
        return None
    made: dict[int, list[Segment]] = {}
    for axis in {axis for label in labels for axis in label.units} - {dim}:
        known = [label.units.get(axis) for label in labels]
        first = next(segments for segments in known if segments)
        for segments in known:
            join(first, segments or [], "concatenated with what has an order of its own")
        made[axis] = first
    if any(dim in label.units for label in labels):
        made[dim] = []
        for part, label in zip(parts, labels, strict=True):
            made[dim] += label.units.get(dim) or [(_fixed(follower.shape(part)[dim]), 1)]
    return follower.show(node, UnitLabel(made))


def _fixed(size: int) -> Part:
    part = free(size)
    part.order.pinned = "it lies beside hidden units and has an order of its own"
    return part


def turned(follower: Follower, node: Any) -> UnitLabel | None:
    """permute and transpose."""
    rank = len(follower.shape(node.args[0]))
    given = node.args[1] if isinstance(node.args[1], list | tuple) else node.args[1:]
    if str(node.target).endswith("permute") or getattr(node.target, "__name__", "") == "permute":
        order = [int(dim) % rank for dim in given]
    else:
        order = list(range(rank))
        a, b = (int(dim) % rank for dim in node.args[1:3])
        order[a], order[b] = order[b], order[a]
    return follower.label(node.args[0]).moved(order.index)


def reduced(follower: Follower, node: Any) -> UnitLabel | None:
    """Means and sums over some dimensions: units that are summed over are gone, in whatever order they were."""
    before, after = follower.shape(node.args[0]), follower.shape(node)
    label = follower.label(node.args[0])
    given = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    if given is None or label.heads is not None:
        return None
    dims = {int(dim) % len(before) for dim in (given if isinstance(given, list | tuple) else [given])}
    kept = [dim for dim in range(len(before)) if dim not in dims]
    if len(after) == len(before):
        return follower.show(node, UnitLabel({dim: label.units[dim] for dim in kept if dim in label.units}))
    return follower.show(node, label.moved(lambda dim: kept.index(dim) if dim in kept else None))


def item(follower: Follower, node: Any) -> Any:
    """x[:, 0], tuple[1]: a slice along dimensions that hold no units."""
    made = follower.labels.get(node.args[0])
    if isinstance(made, list):
        return made[int(node.args[1])]
    label, before = follower.label(node.args[0]), follower.shape(node.args[0])
    if not before:
        return UnitLabel()
    index = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    if not all(isinstance(one, int | slice) for one in index):
        return None
    place = 0
    for one in index:
        if isinstance(one, int):
            if place in label.units:
                return None
            label = picked(label, place, one)
        else:
            if one != slice(None) and place in label.units:
                return None
            place += 1
    return label


def nothing(follower: Follower, node: Any) -> UnitLabel:
    """Shapes, sizes and numbers hold no units."""
    return UnitLabel()


Rule = Callable[[Follower, Any, Any], Any]
KEEPING = (
    nn.Identity, nn.modules.dropout._DropoutNd, nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd, nn.Upsample, nn.ReLU, nn.ReLU6,
    nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.LeakyReLU, nn.ELU, nn.Softplus,
    nn.Mish, nn.CELU, nn.SELU, nn.Softmax, nn.LogSoftmax, nn.ZeroPad2d,
)  # fmt: skip
# Classes of other packages, by name, since none of them is imported for this.
BY_NAME: dict[str, Rule] = {
    **dict.fromkeys(
        [
            "DropPath",
            "StochasticDepth",
            "GELU",
            "GELUTanh",
            "QuickGELU",
            "Swish",
            "Mish",
            "HardSwish",
            "HardSigmoid",
        ],
        same,
    ),
    "LayerScale": scale,
    "FrozenBatchNorm2d": norm,
    "Permute": lambda follower, node, module: follower.label(node.args[0]).moved(list(module.dims).index),
}
MODULES: tuple[tuple[Any, Rule], ...] = (
    (nn.Linear, linear), (nn.Conv2d, convolution), (nn.modules.batchnorm._BatchNorm, norm), (nn.LayerNorm, norm),
    (nn.GroupNorm, group_norm), (nn.Flatten, flattened), (nn.Unflatten, flattened), (nn.MultiheadAttention, attention),
    (KEEPING, same),
)  # fmt: skip


def module_rule(module: nn.Module) -> Rule | None:
    """The rule for a module, by its name or its class."""
    found = BY_NAME.get(type(module).__name__)
    return found or next((rule for kinds, rule in MODULES if isinstance(module, kinds)), None)


FUNCTIONS: dict[str, Callable[[Follower, Any], Any]] = {
    **dict.fromkeys(
        [
        "relu", "relu6", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh",
        "leaky_relu", "elu", "softplus", "mish", "dropout", "clone", "contiguous", "detach", "float", "to",
        "neg", "abs", "sqrt", "exp", "square", "clamp", "softmax", "max_pool2d", "avg_pool2d",
        "adaptive_avg_pool2d", "boolean_dispatch", "interpolate", "pad", "identity", "drop_path",
        "stochastic_depth",
    ],
        same,
    ),
    **dict.fromkeys([
        "add", "iadd", "sub", "isub", "mul", "imul", "truediv", "div",
    ], together),
    **dict.fromkeys(["flatten", "reshape", "view", "squeeze", "unsqueeze", "unflatten"], flattened),
    **dict.fromkeys(["mean", "sum", "amax"], reduced),
    **dict.fromkeys([
        "size", "getattr", "dim", "floordiv", "eq", "ne", "lt", "gt", "le", "ge",
    ], nothing),
    **dict.fromkeys(["permute", "transpose", "swapaxes"], turned),
    **dict.fromkeys(["matmul", "bmm"], multiplied),
    "cat": beside, "concat": beside, "getitem": item, "unbind": parted, "batch_norm": batch_norm,
    "scaled_dot_product_attention": attended,
    "expand": lambda follower, node: UnitLabel(
        {d: s for d, s in follower.label(node.args[0]).units.items()
         if follower.shape(node)[d] == follower.shape(node.args[0])[d]}
    ),
}  # fmt: skip
assert operator.getitem.__name__ in FUNCTIONS  # noqa: S101 - names above are those that functions have
assert torch.cat.__name__ in FUNCTIONS  # noqa: S101
