"""A network wider or narrower than a source: without this file only layers of exactly its shapes could start from it.

Layers of one name whose widths differ are grown or narrowed unit by unit, everywhere at once where these units show:

    grown      new unit j is old unit g(j), the first ones themselves; what reads it gets a_j times the old weights,
               Σ over the copies j of a unit of a_j = 1, so that the network computes what it computed
    narrowed   the units with the largest |lead| · |follow| stay, in their old order

`lead` is a unit's scale in a norm, or without one the norm of its incoming weights; `follow` that of the weights that
read it. The shares a_j are drawn unequal (within 1 : 3), or copies would learn alike for ever. Growth changes the
function where a norm averages over units, which are then no longer equally many of each. Which axes show the same
units is found by following values (`source/hidden_units/groups.py`). Sources: Chen, Goodfellow, Shlens, Net2Net,
ICLR 2016; Li et al., Pruning filters for efficient ConvNets, ICLR 2017; Liu et al., Network slimming, ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from transfuse.source.hidden_units.groups import Groups, Piece

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
MIXING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)


@dataclass(frozen=True)
class Widths:
    """For every order the old block of each new one, and the share of it that its readers get."""

    index: tuple[np.ndarray, ...]
    share: tuple[np.ndarray, ...]

    def changed(self, groups: Groups) -> list[tuple[int, int]]:
        """(old, new) numbers of blocks of the orders that change."""
        pairs = zip(groups.orders, (len(index) for index in self.index), strict=True)
        return [(old, new) for old, new in pairs if old != new]


def widths(network: nn.Module, groups: Groups, state: Arrays, shapes: Shapes, rng: np.random.Generator) -> Widths:
    """What brings the tensors of `network`, with these `groups`, to the `shapes` of another network, by name.

    Orders whose tensors ask for different numbers, or for no whole number of blocks, stay as they are.
    """
    counts = _counts(groups, state, shapes)
    index, share = [], []
    for order, (old, new) in enumerate(zip(groups.orders, counts, strict=True)):
        if new >= old:
            more = np.concatenate([rng.permutation(old) for _ in range(-(-(new - old) // old))] or [np.arange(0)])
            index.append(np.concatenate([np.arange(old), more[: new - old]]).astype(np.int64))
            raw = rng.uniform(0.5, 1.5, new) if new > old else np.ones(new)
            share.append(raw / np.bincount(index[-1], weights=raw, minlength=old)[index[-1]])
        else:
            best = np.argsort(-_worth(network, groups, order, state), kind="stable")[:new]
            index.append(np.sort(best))
            share.append(np.ones(new))
    return Widths(tuple(index), tuple(share))


def resized(network: nn.Module, groups: Groups, made: Widths, name: str, array: np.ndarray) -> np.ndarray:
    """A tensor with its units copied or chosen, and where it reads units, in their shares."""
    reads = reading_axis(network, name)
    for axis, pieces in groups.axes.get(name, {}).items():
        places, shares = _axis(groups, made, pieces)
        array = np.take(array, places, axis=axis)
        if axis == reads and not (shares == 1).all():
            wide = [-1 if dim == axis else 1 for dim in range(array.ndim)]
            array = (array * shares.reshape(wide)).astype(array.dtype)
    return array


def reading_axis(network: nn.Module, name: str) -> int | None:
    """The axis of a tensor along which it reads hidden units; None where it has none."""
    path, _, tensor = name.rpartition(".")
    try:
        layer = network.get_submodule(path)
    except AttributeError:
        return None
    if isinstance(layer, TRANSPOSED) and tensor == "weight":
        return 0
    return 1 if isinstance(layer, MIXING) and tensor in ("weight", "in_proj_weight") else None


def _axis(groups: Groups, made: Widths, pieces: Sequence[Piece]) -> tuple[np.ndarray, np.ndarray]:
    """For every new place on an axis the old one, and its share."""
    places, shares, begin = [], [], 0
    for piece in pieces:
        if piece.part < 0:
            places.append(begin + np.arange(piece.length))
            shares.append(np.ones(piece.length))
        else:
            order, width = groups.parts[piece.part]
            units = (made.index[order][:, None] * width + np.arange(width)).reshape(-1)
            places.append(begin + (units[:, None] * piece.repeat + np.arange(piece.repeat)).reshape(-1))
            shares.append(np.repeat(made.share[order], width * piece.repeat))
        begin += piece.length
    return np.concatenate(places), np.concatenate(shares)


def _counts(groups: Groups, state: Arrays, shapes: Shapes) -> list[int]:
    """The new number of blocks of every order, as all tensors that show it want it."""
    axes = [
        (shapes[name][axis], pieces)
        for name, found in groups.axes.items()
        if name in state and name in shapes and len(shapes[name]) == state[name].ndim
        for axis, pieces in found.items()
    ]
    known: dict[int, int] = {}
    odd: set[int] = set()
    for _ in range(len(groups.orders) + 1):
        for length, pieces in axes:
            shown = [piece for piece in pieces if piece.part >= 0]
            orders = {groups.parts[piece.part][0] for piece in shown}
            asked = orders - known.keys()
            if len(asked) > 1:
                continue
            rest = length - sum(_length(groups, piece, known) for piece in pieces)
            each = sum(_each(groups, piece) for piece in shown if groups.parts[piece.part][0] in asked)
            if asked and rest >= each and rest % each == 0:
                known[asked.pop()] = rest // each
            elif rest:
                odd |= orders
            known |= {order: groups.orders[order] for order in odd}
    return [known.get(order, old) for order, old in enumerate(groups.orders)]


def _each(groups: Groups, piece: Piece) -> int:
    """Places that one block of a piece takes."""
    return groups.parts[piece.part][1] * piece.repeat


def _length(groups: Groups, piece: Piece, known: Mapping[int, int]) -> int:
    """Places that a piece takes, once its number of blocks is known; 0 before."""
    if piece.part < 0:
        return piece.length
    return known.get(groups.parts[piece.part][0], 0) * _each(groups, piece)


def _worth(network: nn.Module, groups: Groups, order: int, state: Arrays) -> np.ndarray:
    """|lead| · |follow| of every block of an order."""
    lead, scale, follow = (np.zeros(groups.orders[order]) for _ in range(3))
    for name, axes in groups.axes.items():
        if name not in state:
            continue
        for axis, pieces in axes.items():
            squares = np.square(state[name].astype(np.float64)).sum(
                axis=tuple(dim for dim in range(state[name].ndim) if dim != axis)
            )
            kind = follow if axis == reading_axis(network, name) else lead if state[name].ndim > 1 else scale
            if kind is scale and not name.endswith("weight"):
                continue
            begin = 0
            for piece in pieces:
                if piece.part >= 0 and groups.parts[piece.part][0] == order:
                    kind += squares[begin : begin + piece.length].reshape(groups.orders[order], -1).sum(axis=1)
                begin += piece.length
    lead = scale if scale.any() else lead
    return np.sqrt((lead if lead.any() else 1.0) * (follow if follow.any() else 1.0))
