"""A network's weights with its hidden units in another order: the lens that stands before a reader while merging.

A `Turn` has, for every order, which old block each new one is, and for every part, which old unit of that block each
new unit is. Turned weights compute what they computed; so do statistics that are turned with them. Tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transfuse.source.hidden_units.groups import Groups, Piece
from transfuse.source.weights import Reader


@dataclass(frozen=True)
class Turn:
    """`blocks[order]` [count]: the old block of each new one; `inner[part]` [count, width]: its units' old places."""

    blocks: tuple[np.ndarray, ...]
    inner: tuple[np.ndarray, ...]

    def index(self, groups: Groups, part: int) -> np.ndarray:
        """For every new unit of a part, flat, the old one."""
        order, width = groups.parts[part]
        return (self.blocks[order][:, None] * width + self.inner[part]).reshape(-1)


def unturned(groups: Groups) -> Turn:
    """The identity."""
    inner = [np.tile(np.arange(width), (groups.orders[order], 1)) for order, width in groups.parts]
    return Turn(tuple(np.arange(count) for count in groups.orders), tuple(inner))


def drawn(groups: Groups, rng: np.random.Generator) -> Turn:
    """Any turn the groups allow, at random: what tests plant."""
    inner = [np.stack([rng.permutation(width) for _ in range(groups.orders[order])]) for order, width in groups.parts]
    return Turn(tuple(rng.permutation(count) for count in groups.orders), tuple(inner))


def axis_index(groups: Groups, turn: Turn, pieces: Sequence[Piece], repeat: int = 1) -> np.ndarray:
    """For every new place on an axis, the old one; `repeat` neighbouring places go along with each."""
    found, begin = [], 0
    for piece in pieces:
        if piece.part < 0:
            found.append(begin + np.arange(piece.length))
        else:
            index = turn.index(groups, piece.part)
            found.append(begin + (index[:, None] * piece.repeat + np.arange(piece.repeat)).reshape(-1))
        begin += piece.length
    index = np.concatenate(found)
    return (index[:, None] * repeat + np.arange(repeat)).reshape(-1)


def turned(groups: Groups, turn: Turn, name: str, array: np.ndarray) -> np.ndarray:
    """A tensor's numbers in the new order."""
    for axis, pieces in groups.axes.get(name, {}).items():
        array = np.take(array, axis_index(groups, turn, pieces), axis=axis)
    if name in groups.inner:
        array = _inner(array, turn.inner[groups.inner[name]])
    return array


def _inner(kernel: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """A grouped convolution's kernel, rows in order already: within each block its inputs go to their new places."""
    blocks = kernel.reshape(len(inner), -1, *kernel.shape[1:])
    return np.stack([np.take(block, order, axis=1) for block, order in zip(blocks, inner, strict=True)]).reshape(
        kernel.shape
    )


def turned_statistic(groups: Groups, turn: Turn, need: str, name: str, array: np.ndarray) -> np.ndarray:
    """A statistic turned as its tensor is: entry by entry, or for second moments of inputs along both axes."""
    if need != "gram":
        return turned(groups, turn, name, array)
    pieces = groups.axes.get(name, {}).get(1)
    if pieces is None:
        return array
    index = axis_index(groups, turn, pieces, repeat=len(array) // sum(piece.length for piece in pieces))
    return array[np.ix_(index, index)]


class TurnedReader:
    """A reader whose tensors come in the new order."""

    def __init__(self, reader: Reader, groups: Groups, turn: Turn) -> None:
        self._reader, self._groups, self._turn = reader, groups, turn

    def names(self) -> Sequence[str]:
        return self._reader.names()

    def meta(self, name: str) -> tuple[tuple[int, ...], str]:
        return self._reader.meta(name)

    def read(self, name: str) -> np.ndarray:
        return turned(self._groups, self._turn, name, self._reader.read(name))


def assigned(
    groups: Groups, order: int, likeness: Mapping[int, np.ndarray]
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The turn of one order that makes the summed likeness largest; likeness[part] is [n, n], kept by turned units.

    Blocks are matched by the best matching of their units, then units within matched blocks (Kuhn, 1955).
    """
    from scipy.optimize import linear_sum_assignment

    count = groups.orders[order]
    value = np.zeros((count, count))
    inner: dict[int, np.ndarray] = {}
    for part, table in likeness.items():
        width = groups.parts[part][1]
        if width == 1:
            value += table
            continue
        cells = table.reshape(count, width, count, width).transpose(0, 2, 1, 3)
        places = np.empty((count, count, width), dtype=np.int64)
        for a in range(count):
            for b in range(count):
                rows, columns = linear_sum_assignment(cells[a, b], maximize=True)
                places[a, b], value[a, b] = columns, value[a, b] + cells[a, b][rows, columns].sum()
        inner[part] = places
    blocks = linear_sum_assignment(value, maximize=True)[1]
    rows = np.arange(count)
    return blocks, {
        part: inner[part][rows, blocks] if part in inner else np.zeros((count, 1), dtype=np.int64) for part in likeness
    }
