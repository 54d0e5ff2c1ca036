"""Dividing rows whose labels overlap or are numbers; without it a rare label could stand in one part only.

Iterative stratification: every part wants its share of every mark; the rarest mark is dealt first, each time to the
part that wants it most. Marks of a multilabel task are each label's presence and absence; of a regression, in which
fifth of its range of ranks each target lies. Sizes are kept exactly where units are single rows.

Sechidis, Tsoumakas, Vlahavas, On the stratification of multi-label data, ECML PKDD 2011.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transfuse.data.items import Items

FIFTHS = 5
BLOCKED = -1


def marks(items: Items, rows: np.ndarray) -> np.ndarray:
    """What each of these rows counts for, 0 or 1 [n, Q]; rows are labelled."""
    targets = items.targets()[rows]
    if items.kind == "multilabel":
        return np.concatenate([targets, 1 - targets], axis=1)
    if items.kind == "multiclass":
        return (targets[:, None] == np.arange(len(items.classes))).astype(np.int64)
    found = []
    for column in targets.T:
        edges = np.unique(np.quantile(column, np.arange(1, FIFTHS) / FIFTHS)) if len(column) else np.zeros(0)
        place = np.searchsorted(edges, column, side="left")
        found.append(place[:, None] == np.arange(FIFTHS))
    return np.concatenate(found, axis=1).astype(np.int64)


def divided(marks: np.ndarray, weights: np.ndarray, sizes: Sequence[int], *, spill: int | None = None) -> np.ndarray:
    """The part of each unit [U]: marks [U, Q] summed over the unit's rows, weights [U] its rows, sizes [P] the rows of
    each part, which sum to all.

    Units stand in the order in which equals are taken. A unit that fits nowhere goes to `spill`, or where most room is.
    """
    marks, share = np.asarray(marks, dtype=np.float64), np.asarray(sizes, dtype=np.float64) / max(sum(sizes), 1)
    room, wants = np.asarray(sizes, dtype=np.float64).copy(), share[:, None] * marks.sum(axis=0)
    part = np.full(len(marks), BLOCKED, dtype=np.int64)
    left = marks.sum(axis=0)
    while (open_marks := np.flatnonzero(left > 0)).size:
        mark = open_marks[np.argmin(left[open_marks])]
        for unit in np.flatnonzero((part == BLOCKED) & (marks[:, mark] > 0)):
            part[unit] = _wanting(wants[:, mark], room, weights[unit], spill)
            room[part[unit]] -= weights[unit]
            wants[part[unit]] -= marks[unit]
            left -= marks[unit]
        left[mark] = 0.0
    for unit in np.flatnonzero(part == BLOCKED):
        part[unit] = _wanting(room, room, weights[unit], spill)
        room[part[unit]] -= weights[unit]
    return part


def _wanting(wants: np.ndarray, room: np.ndarray, weight: float, spill: int | None) -> int:
    """The part with room that wants most; ties go to the larger room, then to the first."""
    fitting = np.flatnonzero(room >= weight)
    if not fitting.size:
        return int(np.argmax(room)) if spill is None else spill
    order = np.lexsort((fitting, -room[fitting], -wants[fitting]))
    return int(fitting[order[0]])


def units(items: Items, ordered: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """What is dealt as one: single rows, or whole groups; with summed marks [U, Q] and numbers of rows [U].

    In the order of first appearance among the rows, groups with more rows first (small ones fill the gaps).
    """
    every = marks(items, ordered)
    if items.groups is None:
        return [ordered[place : place + 1] for place in range(len(ordered))], every, np.ones(len(ordered))
    held: dict[str, list[int]] = {}
    for place, row in enumerate(ordered.tolist()):
        held.setdefault(items.groups[row], []).append(place)
    places = sorted(held.values(), key=lambda inside: -len(inside))
    summed = np.array([every[inside].sum(axis=0) for inside in places]).reshape(len(places), every.shape[1])
    return [ordered[inside] for inside in places], summed, np.array([len(inside) for inside in places])


def drawn(items: Items, ordered: np.ndarray, count: int, *, leave: bool) -> np.ndarray:
    """`count` of these rows (whole groups, at most `count`), with about the share of every mark that all have.

    With `leave`, one unit of every mark stays behind where there is room for it, so that what is left still knows it.
    """
    count = min(count, len(ordered))
    held, summed, weights = units(items, ordered)
    kept = np.zeros(len(held), dtype=bool)
    for mark in np.argsort(summed.sum(axis=0), kind="stable") if leave else ():
        bearers = np.flatnonzero(summed[:, mark] > 0)
        if (
            bearers.size
            and not kept[bearers].any()
            and weights[kept].sum() + weights[bearers[0]] <= len(ordered) - count
        ):
            kept[bearers[0]] = True
    free = np.flatnonzero(~kept)
    sizes = [count, int(weights[free].sum()) - count]
    if sizes[1] < 0:
        return np.zeros(0, dtype=np.int64)
    part = divided(summed[free], weights[free], sizes, spill=1)
    return np.sort(np.concatenate([np.zeros(0, np.int64), *(held[unit] for unit in free[part == 0])]))


def dealt(items: Items, ordered: np.ndarray, count: int) -> list[np.ndarray]:
    """`count` disjoint parts of these rows, as even in size and in every mark as rows or whole groups allow."""
    held, summed, weights = units(items, ordered)
    sizes = [len(ordered) // count + (fold < len(ordered) % count) for fold in range(count)]
    part = divided(summed, weights, sizes)
    empty = np.zeros(0, np.int64)
    return [
        np.sort(np.concatenate([empty, *(held[unit] for unit in np.flatnonzero(part == fold))]))
        for fold in range(count)
    ]
