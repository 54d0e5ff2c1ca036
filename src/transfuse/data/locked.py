"""The parts of a locked split: without it the test would move with the seed, and seeds could not be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from transfuse.data.draw import draw, draw_items, take_per_class
from transfuse.data.items import Items
from transfuse.errors import UserError, many_problems
from transfuse.kinds import kind_of

SHARE = 0.2
REDRAWN = 0.8


@dataclass(frozen=True, eq=False)
class LockedParts:
    """Rows of each part; `trains` has one draw a seed. Half of the validation is `held`, the other half `calibrate`."""

    trains: tuple[np.ndarray, ...]
    held: np.ndarray
    calibrate: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...]


def locked_parts(items: Items, wanted: Mapping[str, int | str], seeds: int) -> LockedParts:
    """Draw test, cal and val once and train for each seed, out of what the data set declares.

    A number draws stratified (whole groups, if there are any) from the declared split of that name, else from all rows
    that no declared split claims. Without a number a declared split is used whole; an undeclared test is 20 % of the
    rows, an undeclared validation 20 % of what is then left. A declared row never changes its part.
    """
    labelled = items.labelled()
    declared = {
        part: np.flatnonzero(labelled & np.array([split == part for split in items.splits], dtype=bool))
        for part in ("val", "test", "cal")
    }
    pool = np.setdiff1d(np.flatnonzero(labelled), np.concatenate([*declared.values()]))
    parts: dict[str, np.ndarray] = {}
    notes: list[str] = []
    for part in ("test", "cal", "val"):
        rows, pool = _part(items, part, wanted.get(part), declared[part], pool, notes)
        parts[part] = rows
    _check_classes(items, pool, parts)
    if "per_class" in wanted and items.kind != "multiclass":
        raise UserError(
            f"a {items.kind} task has no classes to draw from", where="data.splits.per_class", hint="train: N"
        )
    held, calibrate = (parts["val"], parts["cal"]) if len(parts["cal"]) else _halves(items, parts["val"], notes)
    trains = tuple(_train(items, wanted, pool, f"s{seed}", notes) for seed in range(seeds))
    for part, rows in (("test", parts["test"]), ("validation", held), ("calibration", calibrate)):
        if absent := absent_from(items, rows):
            notes.append(f"no row in {part}: {kind_of(items.kind).column} " + ", ".join(f"'{name}'" for name in absent))
    return LockedParts(trains, held, calibrate, parts["test"], tuple(dict.fromkeys(notes)))


def absent_from(items: Items, rows: np.ndarray) -> list[str]:
    """The classes, or labels, that none of these rows has; a regression has none that could be absent."""
    if items.kind == "regression":
        return []
    targets = items.targets()[rows]
    there = set(targets.tolist()) if targets.ndim == 1 else set(np.flatnonzero((targets == 1).any(axis=0)).tolist())
    return [name for number, name in enumerate(items.classes) if number not in there]


def _part(
    items: Items, part: str, size: int | str | None, declared: np.ndarray, pool: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one part, and what is left of the pool."""
    if len(declared):
        if not isinstance(size, int):
            return declared, pool
        if size > len(declared):
            raise _too_few(part, size, f"{len(declared)} labelled rows in the declared split")
        return _drawn(items, part, declared, size, notes, leave=False), pool
    if size == "all":
        hint = f"give a number, or declare which rows are {part}"
        raise UserError(f"'{part}: all' needs a declared {part} split", where="data.splits", hint=hint)
    if size is None:
        if part == "cal":
            return declared, pool
        size = max(round(SHARE * len(pool)), 1)
        notes.append(f"no {part} split is declared: {SHARE:.0%} of the other rows were drawn for it, stratified")
    rows = _drawn(items, part, pool, int(size), notes, leave=True)
    return rows, np.setdiff1d(pool, rows)


def _drawn(items: Items, part: str, rows: np.ndarray, size: int, notes: list[str], *, leave: bool) -> np.ndarray:
    drawn = draw(items, rows, size, "split", part, leave=leave)
    if not len(drawn) or (items.groups is None and len(drawn) < size):
        raise _too_few(part, size, f"{len(drawn)} of {len(rows)} rows that can be spared")
    if len(drawn) != size:
        notes.append(f"{part}: {size} rows asked, {len(drawn)} drawn in whole groups")
    return drawn


def _too_few(part: str, size: int, got: str) -> UserError:
    return UserError(f"not enough rows for {part}", where="data.splits", expected=f"{size} rows", got=got)


def _check_classes(items: Items, pool: np.ndarray, parts: Mapping[str, np.ndarray]) -> None:
    """Every class, or label, must be among the rows that training draws from."""
    problems, kind = [], kind_of(items.kind)
    for name in absent_from(items, pool):
        places = [part for part, rows in parts.items() if len(rows) and name not in absent_from(items, rows)]
        problems.append(f"{kind.column} '{name}' occurs only in {' and '.join(places) or 'rows that are not used'}")
    if problems:
        hint = "move some of their rows to train, or check the spelling"
        raise many_problems(f"{kind.columns} that training would never see", problems, where="data", hint=hint)


def _halves(items: Items, val: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Validation in two halves by item id (by group where there are groups), each with every class where possible."""
    size = len(val) // 2
    if not size:
        raise _too_few("val", 2, f"{len(val)}: one half is for choices, the other for the temperature")
    # A proportional half of single rows already leaves every class of two rows or more in the other half.
    first = draw(items, val, size, "split", "val", "half", leave=items.groups is not None)
    if not len(first):
        notes.append("validation is halved by item: its groups are too few or too large to stay whole")
        first = draw_items(items, val, size, "split", "val", "half")
    return first, np.setdiff1d(val, first)


def _train(items: Items, wanted: Mapping[str, int | str], pool: np.ndarray, seed: str, notes: list[str]) -> np.ndarray:
    """One seed's training rows, drawn from the pool."""
    names = ("split", "train", seed)
    if items.kind != "multiclass":
        return _redrawn(items, wanted.get("train"), pool, names, notes)
    there = np.bincount(items.targets()[pool], minlength=len(items.classes))
    each, size = wanted.get("per_class"), wanted.get("train")
    if isinstance(each, int):
        few = [f"class '{name}' has {n}" for name, n in zip(items.classes, there, strict=True) if n < each]
        if few:
            raise many_problems(f"classes with fewer than {each} training rows", few, where="data.splits.per_class")
        if there.max() > each:
            return take_per_class(items, pool, [each] * len(there), *names)
        size = len(pool)
    if isinstance(size, int) and size < len(there):
        raise _too_few("train", len(there), f"{size}: fewer than one a class")
    if not isinstance(size, int) or size >= len(pool):
        redrawn = max(round(REDRAWN * len(pool)), len(there))
        if isinstance(size, int):
            notes.append(_fewer(size, len(pool), redrawn))
        size = redrawn
    return draw_items(items, pool, size, *names)


def _redrawn(
    items: Items, size: int | str | None, pool: np.ndarray, names: tuple[str, ...], notes: list[str]
) -> np.ndarray:
    """One seed's training rows where there are no classes of which each must be drawn."""
    if not isinstance(size, int) or size >= len(pool):
        redrawn = max(round(REDRAWN * len(pool)), 1)
        if isinstance(size, int):
            notes.append(_fewer(size, len(pool), redrawn))
        size = redrawn
    return draw_items(items, pool, size, *names)


def _fewer(asked: int, there: int, redrawn: int) -> str:
    return f"train: {asked} rows asked, {there} there: each seed draws {redrawn} of them, so that seeds differ"
