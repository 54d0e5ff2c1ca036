"""How heads of attention pass hidden units on: blocks whose query and key units go together, and whose values do."""

from __future__ import annotations

from typing import Any

from transfuse.source.hidden_units.follower import Follower, layer
from transfuse.source.hidden_units.unit_labels import UnitLabel, picked
from transfuse.source.hidden_units.units import Part, free, join, join_orders, resolved


def attention(follower: Follower, node: Any, module: Any) -> list[UnitLabel] | None:
    """torch's MultiheadAttention of one value with itself: heads whose query and key units go together."""
    if len({*node.args[:3]}) != 1 or not module.batch_first or module.bias_k is not None:
        return None
    name, label = str(node.target), follower.label(node.args[0])
    heads, width = module.num_heads, module.head_dim
    look = Part(free(heads).order, width)
    value = Part(look.order, width)
    for tensor in ("in_proj_weight", "in_proj_bias"):
        if follower.has(f"{name}.{tensor}"):
            follower.record(f"{name}.{tensor}", 0, [(look, 1), (look, 1), (value, 1)])
    if into := label.units.get(2):
        follower.record(f"{name}.in_proj_weight", 1, into)
    made = layer(follower, f"{name}.out_proj", [(value, 1)], (module.embed_dim, 1))
    return [UnitLabel({2: [(made, 1)]}), UnitLabel()]


def parted(follower: Follower, node: Any) -> list[UnitLabel] | None:
    """unbind: one label a slice."""
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    before, label = follower.shape(node.args[0]), follower.label(node.args[0])
    dim = int(dim) % len(before)
    return None if dim in label.units else [picked(label, dim, index) for index in range(before[dim])]


def attended(follower: Follower, node: Any) -> UnitLabel | None:
    """scaled_dot_product_attention: query and key units are compared, value units come out."""
    query, key, value = (follower.label(one) for one in node.args[:3])
    if query.heads is None or key.heads is None or value.heads is None:
        return None if any((query.units, key.units, value.units, query.heads, key.heads, value.heads)) else UnitLabel()
    join([(query.heads.parts[0], 1)], [(key.heads.parts[0], 1)], "queries and keys of different widths")
    ((first, _),) = resolved([(query.heads.parts[0], 1)])
    ((last, _),) = resolved([(value.heads.parts[0], 1)])
    join_orders(first.order, last.order, "values in other heads than queries")
    return UnitLabel({}, value.heads)


def multiplied(follower: Follower, node: Any) -> UnitLabel | None:
    """Attention written out: queries times keys, then weights times values."""
    left, right = (follower.label(one).heads for one in node.args[:2])
    if left is None or right is None:
        nothing = not any(follower.label(one).units or follower.label(one).heads for one in node.args[:2])
        return UnitLabel() if nothing else None
    rank = len(follower.shape(node))
    ((a, _),), ((b, _),) = resolved([(left.parts[0], 1)]), resolved([(right.parts[0], 1)])
    if left.inner_dim == rank - 1 and right.inner_dim == rank - 2:
        join([(a, 1)], [(b, 1)], "queries and keys of different widths")
        return UnitLabel({}, type(left)(left.parts, left.block_dim))
    if left.inner_dim is None and right.inner_dim == rank - 1:
        join_orders(a.order, b.order, "values in other heads than queries")
        return UnitLabel({}, right)
    return None
