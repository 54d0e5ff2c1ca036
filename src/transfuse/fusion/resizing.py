"""Lenses between networks of unequal widths: without them only checkpoints of one shape could be merged.

A turn gives every unit of one network a place in the other. Where widths differ there is no such place, so a lens maker
whose trait `resizes` is true gives two matrices a part instead: what the kept network's units are made of, and where
the effect of the other's units goes.

    rows of a layer, biases, norms     W' = into W        into [n, n_k], rows sum to 1
    columns of what reads the units    W' = W out_of      out_of [n_k, n], rows sum to 1

Such a lens need not compute what the network computed; how far off it is on a batch is told, not demanded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transfuse.errors import UserError
from transfuse.source.hidden_units.groups import Groups, Piece
from transfuse.source.weights import Reader, cast


@dataclass(frozen=True)
class Maps:
    """`into[part]` [n, n_k] and `out_of[part]` [n_k, n], for every part of the groups."""

    into: Mapping[int, np.ndarray]
    out_of: Mapping[int, np.ndarray]


def require_alike(kept: Groups, other: Groups, name: str) -> None:
    """Raises UserError where two networks differ in more than how many units their layers have."""
    problem = ""
    if any(width > 1 for groups in (kept, other) for _, width in groups.parts) or kept.inner or other.inner:
        problem = "units in blocks (attention heads, grouped convolutions)"
    elif len(kept.parts) != len(other.parts) or _form(kept) != _form(other):
        problem = "layers that are joined differently"
    if problem:
        raise UserError(
            "these networks differ in more than their layers' widths, so one cannot be brought to the other's",
            where=f"source '{name}'",
            expected="one chain or residual network of plain layers",
            got=problem,
        )


def _form(groups: Groups) -> dict[str, dict[int, list[tuple[int, int]]]]:
    """Which part lies on which axis, and how many places a unit takes; a run that stays counts by its length."""
    return {
        name: {
            axis: [(piece.part, piece.repeat if piece.part >= 0 else piece.length) for piece in pieces]
            for axis, pieces in axes.items()
        }
        for name, axes in groups.axes.items()
    }


class ResizedReader:
    """Another network's tensors in the shapes of the kept one's."""

    def __init__(self, reader: Reader, groups: Groups, maps: Maps) -> None:
        self._reader, self._groups, self._maps = reader, groups, maps

    def names(self) -> Sequence[str]:
        return self._reader.names()

    def meta(self, name: str) -> tuple[tuple[int, ...], str]:
        shape, dtype = self._reader.meta(name)
        found = list(shape)
        for axis, pieces in self._groups.axes.get(name, {}).items():
            found[axis] = sum(len(self._map(piece, 0)) for piece in pieces)
        return tuple(found), dtype

    def read(self, name: str) -> np.ndarray:
        """Sums in float64, rounded once to the stored type."""
        numbers, axes = self._reader.read(name), self._groups.axes.get(name, {})
        if not axes:
            return numbers
        stored = self.meta(name)[1]
        wide = numbers.astype(np.float64)
        for axis, pieces in axes.items():
            # Weights [out, in, ...] read units along their second axis; everything else has them as its own.
            reads = axis == 1 and wide.ndim > 1
            moved, parts, begin = np.moveaxis(wide, axis, 0), [], 0
            for piece in pieces:
                parts.append(np.tensordot(self._map(piece, reads), moved[begin : begin + piece.length], axes=1))
                begin += piece.length
            wide = np.moveaxis(np.concatenate(parts), 0, axis)
        return cast(np.ascontiguousarray(wide), "F32" if stored == "BF16" else stored)[0]

    def _map(self, piece: Piece, reads: bool | int) -> np.ndarray:
        """The matrix of a run of an axis, [new, old]; places that belong to one unit stay together."""
        if piece.part < 0:
            return np.eye(piece.length)
        matrix = self._maps.out_of[piece.part].T if reads else self._maps.into[piece.part]
        return np.kron(matrix, np.eye(piece.repeat)) if piece.repeat > 1 else matrix
