"""Drawing rows and dealing folds: without it a split would depend on the order of files in a folder.

Every draw is tied to item ids (or group names) and the names of the stream, so permuting the rows of a table leaves the
same ids in every part. Results are row numbers in ascending order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from transfuse import seeds
from transfuse.data import strata
from transfuse.data.items import Items
from transfuse.errors import UserError, many_problems


def draw(items: Items, rows: np.ndarray, count: int, *names: str | int, leave: bool = False) -> np.ndarray:
    """`count` labelled rows out of `rows`, stratified by class; where items have groups, whole ones, at most `count`.

    Every class is taken at least once where `count` allows; with `leave`, every class also keeps a row (or group)
    behind. Gives fewer than `count` where no more can be had on these terms. Labels that overlap and targets that are
    numbers are stratified by `strata`.
    """
    if items.kind != "multiclass":
        return strata.drawn(items, shuffled(items, rows, *names), count, leave=leave)
    if items.groups is None:
        return draw_items(items, rows, count, *names, leave=leave)
    return _draw_groups(items, rows, count, *names, leave=leave)


def draw_items(items: Items, rows: np.ndarray, count: int, *names: str | int, leave: bool = False) -> np.ndarray:
    """`draw` without regard to groups."""
    if items.kind != "multiclass":
        return strata.drawn(replace(items, groups=None), shuffled(items, rows, *names), count, leave=leave)
    targets = items.targets()[rows]
    there = np.bincount(targets, minlength=len(items.classes))
    quota = _quota(there, np.maximum(there - int(leave), 0), count)
    return take_per_class(items, rows, quota, *names)


def take_per_class(items: Items, rows: np.ndarray, quota: Sequence[int] | np.ndarray, *names: str | int) -> np.ndarray:
    """The first `quota[c]` rows of each class c in the stream's order."""
    ordered = shuffled(items, rows, *names)
    targets = items.targets()[ordered]
    taken = [ordered[targets == number][: int(limit)] for number, limit in enumerate(quota)]
    return np.sort(np.concatenate(taken))


def shuffled(items: Items, rows: np.ndarray, *names: str | int) -> np.ndarray:
    """`rows` in the order of their ids' draws from the stream."""
    ids = [items.ids[row] for row in rows]
    draws = seeds.uniform(ids, *names)
    places = sorted(range(len(rows)), key=lambda place: (draws[place], ids[place]))
    return np.asarray(rows, dtype=np.int64)[places]


def deal(items: Items, rows: np.ndarray, count: int, *names: str | int, where: str) -> list[np.ndarray]:
    """`count` disjoint folds of `rows`, stratified by class, groups whole.

    Errors: a class with fewer rows than folds, fewer groups than folds, a class that one fold holds alone (then what is
    trained on the others would not know it). `where` says whose folds they are. Labels that overlap and targets that
    are numbers are stratified by `strata`; there only rows or groups may be too few.
    """
    ordered = shuffled(items, rows, *names)
    if items.kind != "multiclass":
        return _dealt(items, ordered, count, where)
    targets = items.targets()[ordered]
    there = np.bincount(targets, minlength=len(items.classes))
    few = [f"class '{items.classes[c]}' has {there[c]}" for c in range(len(there)) if there[c] < count]
    if few:
        hint = "add rows, drop the class, or ask for fewer folds"
        raise many_problems(f"classes with fewer rows than the {count} folds need", few, where=where, hint=hint)
    if items.groups is None:
        # Numbering the rows class after class and dealing them in turn spreads each class as evenly as it goes.
        number = np.empty(len(ordered), dtype=np.int64)
        number[np.argsort(targets, kind="stable")] = np.arange(len(ordered)) % count
    else:
        number = _deal_groups([items.groups[row] for row in ordered], targets, count, *names, where=where)
    folds = [np.sort(ordered[number == fold]) for fold in range(count)]
    _check_folds(items, folds, there, where)
    return folds


def _dealt(items: Items, ordered: np.ndarray, count: int, where: str) -> list[np.ndarray]:
    """Folds of labels that overlap, or of numbers."""
    there = len(ordered) if items.groups is None else len({items.groups[row] for row in ordered})
    what = "rows" if items.groups is None else "groups"
    if there < count:
        raise UserError(f"fewer {what} than folds", where=where, expected=f"at least {count}", got=str(there))
    folds = strata.dealt(items, ordered, count)
    if not all(len(fold) for fold in folds):
        raise UserError("groups are too unequal to make folds", where=where, hint="add groups, or ask for fewer folds")
    return folds


def _check_folds(items: Items, folds: list[np.ndarray], there: np.ndarray, where: str) -> None:
    targets = items.targets()
    for fold in folds:
        inside = np.bincount(targets[fold], minlength=len(there))
        alone = [items.classes[c] for c in range(len(there)) if inside[c] == there[c] > 0]
        if alone or not len(fold):
            raise UserError(
                f"class '{alone[0]}' stands in too few groups to be learned in every fold"
                if alone
                else "groups are too unequal to make folds",
                where=where,
                hint="add groups, or ask for fewer folds",
            )


def _deal_groups(groups: list[str], targets: np.ndarray, count: int, *names: str | int, where: str) -> np.ndarray:
    different = len(set(groups))
    if different < count:
        raise UserError("fewer groups than folds", where=where, expected=f"at least {count}", got=str(different))
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seeds.integer(*names, "groups") % 2**32)
    number = np.empty(len(groups), dtype=np.int64)
    for fold, (_, held) in enumerate(splitter.split(np.zeros((len(groups), 1)), targets, groups)):
        number[held] = fold
    return number


def _quota(there: np.ndarray, room: np.ndarray, count: int) -> np.ndarray:
    """How many of each class: proportional, exact in sum, at least one and at most `room`; ties go by class order."""
    count = min(count, int(room.sum()))
    ideal = there * count / max(int(there.sum()), 1)
    floor = np.minimum(room, 1) if count >= np.count_nonzero(room) else np.zeros_like(room)
    quota = np.clip(np.floor(ideal).astype(np.int64), floor, room)
    while quota.sum() < count:
        quota[np.argmax(np.where(quota < room, ideal - quota, -np.inf))] += 1
    while quota.sum() > count:
        quota[np.argmax(np.where(quota > floor, quota - ideal, -np.inf))] -= 1
    return quota


def _draw_groups(items: Items, rows: np.ndarray, count: int, *names: str | int, leave: bool) -> np.ndarray:
    targets = items.targets()
    groups: tuple[str, ...] = items.groups if items.groups is not None else items.ids
    members: dict[str, list[int]] = {}
    for row in rows:
        members.setdefault(groups[row], []).append(int(row))
    held = {group: np.bincount(targets[inside], minlength=len(items.classes)) for group, inside in members.items()}
    draws = dict(zip(members, seeds.uniform(list(members), *names), strict=True))
    order = sorted(members, key=lambda group: (draws[group], group))
    left = np.sum([*held.values()], axis=0)
    least = np.minimum(left, 1 if leave else 0)
    taken = np.zeros_like(left)
    chosen: dict[str, None] = {}
    # First the groups that bring a class not yet there, then whatever still fits.
    for only_new in (True, False):
        for group in order:
            brings = held[group]
            new = bool(np.any((brings > 0) & (taken == 0)))
            fits = taken.sum() + brings.sum() <= count and bool(np.all(left - brings >= least))
            if group not in chosen and fits and (new or not only_new):
                chosen[group] = None
                taken, left = taken + brings, left - brings
    return np.array(sorted(row for group in chosen for row in members[group]), dtype=np.int64)
