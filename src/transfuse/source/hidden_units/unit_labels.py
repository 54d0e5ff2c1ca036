"""Where hidden units lie in the values of a traced network: without it each kind of layer would be followed by hand.

A label says of a value which of its dimensions hold units, and in which segments; or, inside attention, which
dimensions hold heads and the units inside a head. Shapes are known, so what a reshape does is read from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from transfuse.source.hidden_units.units import Part, Segment, divide, length, pin, refine, resolved

Shape = Sequence[int]


@dataclass(frozen=True)
class Heads:
    """Blocks of a part along one dimension, its inner units along another; `copies` parts along a third, if split."""

    parts: tuple[Part, ...]
    block_dim: int
    inner_dim: int | None = None
    copy_dim: int | None = None


@dataclass(frozen=True)
class UnitLabel:
    """Units by dimension, and heads."""

    units: Mapping[int, list[Segment]] = field(default_factory=dict)
    heads: Heads | None = None

    def moved(self, where: Callable[[int], int | None]) -> UnitLabel:
        """The label after dimensions went elsewhere; None for one that is gone."""
        units = {there: segments for dim, segments in self.units.items() if (there := where(dim)) is not None}
        return UnitLabel(units, None if self.heads is None else _moved(self.heads, where))

    def pin(self, reason: str) -> None:
        """Let all its units stay where they are."""
        pin([segment for segments in self.units.values() for segment in segments], reason)
        pin([(part, 1) for part in (self.heads.parts if self.heads else ())], reason)


def _moved(heads: Heads, where: Callable[[int], int | None]) -> Heads | None:
    block = where(heads.block_dim)
    if block is None:
        return None
    inner = None if heads.inner_dim is None else where(heads.inner_dim)
    return replace(heads, block_dim=block, inner_dim=inner, copy_dim=_maybe(heads.copy_dim, where))


def _maybe(dim: int | None, where: Callable[[int], int | None]) -> int | None:
    return None if dim is None else where(dim)


def picked(label: UnitLabel, dim: int, index: int) -> UnitLabel:
    """The label of one slice along a dimension, which is gone after it."""
    heads = label.heads
    if heads is not None and heads.copy_dim == dim:
        label = UnitLabel(label.units, replace(heads, parts=(heads.parts[index],), copy_dim=None))
    return label.moved(lambda old: None if old == dim else old - (old > dim))


def runs(before: Shape, after: Shape) -> list[tuple[range, range]] | None:
    """Which runs of dimensions a reshape turns into which; None where the shapes do not tell."""
    found, i, j = [], 0, 0
    while i < len(before) and j < len(after):
        left, right, a, b = i, j, before[i], after[j]
        i, j = i + 1, j + 1
        while a != b:
            if a < b and i < len(before):
                a, i = a * before[i], i + 1
            elif b < a and j < len(after):
                b, j = b * after[j], j + 1
            else:
                return None
        found.append((range(left, i), range(right, j)))
    if found and (i < len(before) or j < len(after)):
        (first, second) = found[-1]
        if any(size != 1 for size in (*before[i:], *after[j:])):
            return None
        found[-1] = (range(first.start, len(before)), range(second.start, len(after)))
    return found


def reshaped(label: UnitLabel, before: Shape, after: Shape, reason: str) -> UnitLabel:
    """The label after a reshape: units flattened with what follows them, split into heads, or heads joined again."""
    pairs = runs(before, after)
    if pairs is None or (label.heads is not None and label.heads.copy_dim is not None):
        label.pin(reason)
        return UnitLabel()
    units: dict[int, list[Segment]] = {}
    heads = label.heads
    kept = None
    for old, new in pairs:
        inside = [dim for dim in old if dim in label.units]
        if heads is not None and heads.block_dim in old:
            kept, joined = _heads_through(heads, before, old, new, after)
            if joined is not None:
                units[joined] = [(heads.parts[0], 1)]
            elif kept is None:
                pin([(part, 1) for part in heads.parts], reason)
        elif len(inside) == 1:
            made = _units_through(label.units[inside[0]], inside[0], (before, old), (after, new), reason)
            if isinstance(made, Heads):
                kept = made
            elif made is not None:
                units[made[0]] = made[1]
        else:
            pin([segment for dim in inside for segment in label.units[dim]], reason)
    if kept is not None and heads is not None and heads.inner_dim is not None and kept.inner_dim is None:
        kept = _inner_through(heads, kept, pairs)
    return UnitLabel(units, kept)


def _units_through(
    segments: list[Segment], dim: int, source: tuple[Shape, range], target: tuple[Shape, range], reason: str
) -> tuple[int, list[Segment]] | Heads | None:
    (before, old), (after, new) = source, target
    wide = [place for place in new if after[place] != 1] or [new.start]
    if all(before[place] == 1 for place in old if place < dim) and len(wide) == 1:
        repeat = math.prod(before[place] for place in old if place > dim)
        return wide[0], [(part, times * repeat) for part, times in resolved(segments)]
    found = resolved(segments)
    sizes = [after[place] for place in wide]
    alone = all(before[place] == 1 for place in old if place != dim) and len(found) == 1 and found[0][1] == 1
    if alone and len(sizes) == 2 and (fine := refine(found[0][0], sizes[0], reason)) is not None:
        return Heads((fine,), wide[0], wide[1])
    if alone and len(sizes) == 3 and (copies := divide(found[0][0], sizes[0], reason)):
        parts = [refine(part, sizes[1], reason) for part in copies]
        if None not in parts:
            return Heads(tuple(part for part in parts if part is not None), wide[1], wide[2], wide[0])
    pin(segments, reason)
    return None


def _heads_through(
    heads: Heads, before: Shape, old: range, new: range, after: Shape
) -> tuple[Heads | None, int | None]:
    """Heads that stay apart, or the dimension in which blocks and inner units lie one after the other again."""
    if len(old) == 1 and len(new) == 1:
        return replace(heads, block_dim=new.start, inner_dim=None), None
    together = (heads.block_dim, heads.inner_dim) == (old.start, old.start + 1) and len(old) == 2
    if together and len(heads.parts) == 1 and len([dim for dim in new if after[dim] != 1]) == 1:
        return None, next(dim for dim in new if after[dim] != 1)
    return None, None


def _inner_through(heads: Heads, kept: Heads, pairs: Sequence[tuple[range, range]]) -> Heads:
    for old, new in pairs:
        if heads.inner_dim in old and len(old) == len(new) == 1:
            return replace(kept, inner_dim=new.start)
    pin([(part, 1) for part in heads.parts], "heads whose units could not be followed through a reshape")
    return kept


def whole(segments: Sequence[Segment], size: int) -> bool:
    """Whether the segments cover an axis of this size."""
    return length(resolved(segments)) == size
