"""Units are matched by the weights that lead into and out of them, one order after the other until nothing moves.

    maximise sum over tensors <A, turn(B)>: for each order in turn, with the others held, a linear assignment

Coordinate descent finds a local optimum. It starts from the units' own signatures (their weights sorted along every
other axis, which no reordering changes) and from the identity, and keeps the better end. Networks that are the same but
for their order are recovered exactly from signatures, unless two units are exactly alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.fusion.turning import Turn, assigned, axis_index, turned, unturned
from transfuse.source.hidden_units.groups import Groups

CITATION = "Ainsworth et al., Git Re-Basin, ICLR 2023"
PARAMETERS = {"sweeps": {"type": "int", "default": 100, "low": 1, "high": 10_000, "doc": "passes over all orders"}}
NEEDS: tuple[str, ...] = ()
Tensors = Mapping[str, np.ndarray]


def match(
    groups: Groups, kept: Tensors, other: Tensors, stat: Mapping[str, Any], rng: np.random.Generator, sweeps: int = 100
) -> Turn:
    """The turn of `other` that brings it nearest to `kept`."""
    a, b = (
        {name: np.asarray(state[name], dtype=np.float64) for name in groups.axes if "running_" not in name}
        for state in (kept, other)
    )
    signed = _signed(groups, a, b)
    if all(np.array_equal(a[name], turned(groups, signed, name, b[name])) for name in a):
        return signed
    found = [_descend(groups, a, b, start, rng, sweeps) for start in (signed, unturned(groups))]
    return max(found, key=lambda turn: _score(groups, a, b, turn))


def _score(groups: Groups, kept: Tensors, other: Tensors, turn: Turn) -> float:
    return sum(float((kept[name] * turned(groups, turn, name, other[name])).sum()) for name in kept)


def _descend(groups: Groups, kept: Tensors, other: Tensors, turn: Turn, rng: np.random.Generator, sweeps: int) -> Turn:
    for _ in range(sweeps):
        moved = False
        for order in rng.permutation(len(groups.orders)):
            likeness = {part: _likeness(groups, kept, other, turn, part) for part in groups.of_order(int(order))}
            better = _with(groups, turn, int(order), likeness)
            if _gain(groups, turn, better, likeness) > 1e-9:
                turn, moved = better, True
        if not moved:
            break
    return turn


def _with(groups: Groups, turn: Turn, order: int, likeness: Mapping[int, np.ndarray]) -> Turn:
    """The turn with one order assigned anew."""
    blocks, inner = assigned(groups, order, likeness)
    return Turn(
        tuple(blocks if number == order else old for number, old in enumerate(turn.blocks)),
        tuple(inner.get(part, old) for part, old in enumerate(turn.inner)),
    )


def _gain(groups: Groups, before: Turn, after: Turn, likeness: Mapping[int, np.ndarray]) -> float:
    """By how much the likeness grows, as a share of what there is."""
    total, scale = 0.0, 0.0
    for part, table in likeness.items():
        rows = np.arange(len(table))
        total += table[rows, after.index(groups, part)].sum() - table[rows, before.index(groups, part)].sum()
        scale += np.abs(table).max() * len(table)
    return total / scale if scale else 0.0


def _likeness(groups: Groups, kept: Tensors, other: Tensors, turn: Turn, part: int) -> np.ndarray:
    """<A's weights of unit i, B's of unit j>, everything else of B as it is turned now: [n, n]."""
    size = groups.size(part)
    total = np.zeros((size, size))
    for name, axes in groups.axes.items():
        if name not in kept:
            continue
        for axis, pieces in axes.items():
            begin = 0
            for piece in pieces:
                if piece.part == part:
                    both = [
                        np.moveaxis(array, axis, 0)[begin : begin + piece.length].reshape(size, -1)
                        for array in (kept[name], _others_turned(groups, turn, name, other[name], axis))
                    ]
                    total += both[0] @ both[1].T
                begin += piece.length
        if groups.inner.get(name) == part:
            total += _inner_likeness(groups, turn, name, kept[name], other[name])
    return total


def _others_turned(groups: Groups, turn: Turn, name: str, array: np.ndarray, axis: int) -> np.ndarray:
    """A tensor turned along every axis but one; of a grouped kernel the rows of each block see its inputs turned."""
    for other, pieces in groups.axes[name].items():
        if other != axis:
            array = np.take(array, axis_index(groups, turn, pieces), axis=other)
    if name not in groups.inner:
        return array
    blocks, inner = turn.blocks[groups.parts[groups.inner[name]][0]], turn.inner[groups.inner[name]]
    shaped = array.reshape(len(blocks), -1, *array.shape[1:]).copy()
    for new, old in enumerate(blocks):
        shaped[old] = shaped[old][:, inner[new]]
    return shaped.reshape(array.shape)


def _inner_likeness(groups: Groups, turn: Turn, name: str, kept: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The same for the inputs of a grouped convolution, which lie on its second axis block by block."""
    part = groups.inner[name]
    count, width = groups.orders[groups.parts[part][0]], groups.parts[part][1]
    (piece,) = groups.axes[name][0]
    inner, blocks = turn.inner[piece.part], turn.blocks[groups.parts[part][0]]
    shaped = other.reshape(count, -1, *other.shape[1:]).copy()
    for new, old in enumerate(blocks):
        shaped[old] = shaped[old][inner[new]]
    rows = [
        np.moveaxis(array.reshape(count, -1, *other.shape[1:]), 2, 1).reshape(count * width, -1)
        for array in (kept, shaped)
    ]
    return rows[0] @ rows[1].T


def _signed(groups: Groups, kept: Tensors, other: Tensors) -> Turn:
    """The turn that brings the units' signatures nearest to each other."""
    turn = unturned(groups)
    for order in range(len(groups.orders)):
        likeness = {part: _signatures(groups, kept, other, part) for part in groups.of_order(order)}
        turn = _with(groups, turn, order, likeness)
    return turn


def _signatures(groups: Groups, kept: Tensors, other: Tensors, part: int) -> np.ndarray:
    """Minus the squared distance between signatures, [n, n]; every tensor counts alike, whatever its scale."""
    size = groups.size(part)
    total = np.zeros((size, size))
    for name, axes in groups.axes.items():
        for axis, pieces in axes.items() if name in kept else ():
            begin = 0
            for piece in pieces:
                if piece.part == part:
                    rows = [
                        _sorted(
                            np.moveaxis(state[name], axis, 0)[begin : begin + piece.length], size, groups, name, axis
                        )
                        for state in (kept, other)
                    ]
                    scale = max(float(np.square(rows[0]).mean()) * rows[0].shape[1], 1e-300)
                    squares = [np.square(one).sum(axis=1) for one in rows]
                    total -= (squares[0][:, None] + squares[1][None] - 2 * rows[0] @ rows[1].T) / scale
                begin += piece.length
    return total


def _sorted(rows: np.ndarray, size: int, groups: Groups, name: str, axis: int) -> np.ndarray:
    """A unit's weights [size, m], sorted along every axis that another order may turn."""
    free = [other for other in groups.axes[name] if other != axis]
    if name in groups.inner:
        free = [1] if axis == 0 else [0]
    for other in free:
        # The unit's own axis stands first now, so those before it moved up by one.
        rows = np.sort(rows, axis=other + (other < axis))
    return rows.reshape(size, -1)
