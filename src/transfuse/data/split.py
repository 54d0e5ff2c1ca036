"""Who trains, who chooses, who judges: without it a row could judge a model that has seen it.

`locked`: one set of test rows, opened once; a seed redraws the training rows, validation and test stay. Half of the
validation serves choices, the other half the temperature. `crossfit`: every labelled row is judged by models, choices
and calibration that never saw it or its group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from transfuse.data.draw import deal
from transfuse.data.items import Items
from transfuse.data.locked import LockedParts, locked_parts
from transfuse.errors import UserError, many_problems, unknown_name
from transfuse.kinds import kind_of

PROTOCOLS = ("auto", "crossfit", "locked")
SPLIT_KEYS = ("train", "val", "test", "cal", "per_class")
ENOUGH_TO_LOCK = 5_000


@dataclass(frozen=True, eq=False)
class Fit:
    """One training: the rows to train on, and the rows held out for choices (early stopping, selection)."""

    fit: np.ndarray
    held: np.ndarray


@dataclass(frozen=True, eq=False)
class Run:
    """One seed (`s0`, …) or fold (`f0`, …); `repeat` counts the dealings into folds, and is 0 for seeds.

    `fits` are the trainings that choices rest on; `train` the rows of the final model; `calibrate` the rows of the
    temperature (under crossfit their predictions come from `fits`, out of fold); `judge` the rows of the verdict.
    """

    name: str
    fits: tuple[Fit, ...]
    train: np.ndarray
    calibrate: np.ndarray
    judge: np.ndarray
    repeat: int = 0


@dataclass(frozen=True, eq=False)
class Partition:
    """All runs of a data set under one protocol; `notes` are sentences for the report."""

    protocol: Literal["locked", "crossfit"]
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Row numbers as lists, for the store; a first dealing is written as if there were no others."""
        return {
            "protocol": self.protocol,
            "notes": list(self.notes),
            "runs": [
                {
                    "name": run.name,
                    "fits": [{"fit": fit.fit.tolist(), "held": fit.held.tolist()} for fit in run.fits],
                    **{part: getattr(run, part).tolist() for part in ("train", "calibrate", "judge")},
                    **({"repeat": run.repeat} if run.repeat else {}),
                }
                for run in self.runs
            ],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Partition:
        """What `to_json` made, back again."""
        runs = [
            Run(
                name=run["name"],
                fits=tuple(Fit(_rows(fit["fit"]), _rows(fit["held"])) for fit in run["fits"]),
                train=_rows(run["train"]),
                calibrate=_rows(run["calibrate"]),
                judge=_rows(run["judge"]),
                repeat=run.get("repeat", 0),
            )
            for run in record["runs"]
        ]
        return cls(record["protocol"], tuple(runs), tuple(record["notes"]))


def partition(
    items: Items,
    *,
    splits: Mapping[str, int | str] | None = None,
    protocol: str = "auto",
    seeds: int = 5,
    folds: int = 5,
    inner: int = 3,
    repeats: int = 1,
) -> Partition:
    """The runs of a data set.

    `splits` gives a number of rows, `all` or (train only) `rest` for train, val, test and cal, or `per_class` training
    rows. `auto` is locked if a test split is declared, by the data or by `splits`, or from 5,000 labelled rows on.
    `repeats` cross-fits that often, each time over other folds: f0 … f(repeats · folds − 1), the first folds unchanged;
    every labelled row is judged once a repeat. Errors, before any work: unknown keys or values, repeats of a locked
    split, fewer than two classes, declared rows without label, a group or class on one side only where it must be on
    both, classes too small for the folds.
    """
    wanted = dict(splits or {})
    counts = {"seeds": (seeds, 1), "folds": (folds, 2), "inner": (inner, 2), "repeats": (repeats, 1)}
    _check_settings(wanted, protocol, counts)
    notes = _check_labels(items)
    declared = "test" in wanted or "test" in items.splits
    labelled = sum(label is not None for label in items.labels)
    if protocol == "locked" or (protocol == "auto" and (declared or labelled >= ENOUGH_TO_LOCK)):
        _check_groups(items)
        if repeats > 1:
            hint = "ask for seeds, which redraw the training rows, or set protocol: crossfit"
            raise UserError("a locked split is not repeated", where="repeats", got=str(repeats), hint=hint)
        return _locked(locked_parts(items, wanted, seeds), notes)
    _check_sizes(wanted)
    if any(items.splits):
        notes = [*notes, "the declared splits are not used: every labelled row is cross-fitted"]
    runs = [run for repeat in range(repeats) for run in _dealt(items, folds, inner, repeat)]
    return Partition("crossfit", tuple(runs), tuple(notes))


def _locked(parts: LockedParts, notes: list[str]) -> Partition:
    runs = [
        Run(f"s{number}", (Fit(train, parts.held),), train, parts.calibrate, parts.test)
        for number, train in enumerate(parts.trains)
    ]
    return Partition("locked", tuple(runs), (*notes, *parts.notes))


def _dealt(items: Items, folds: int, inner: int, repeat: int) -> list[Run]:
    """The runs of one dealing of all labelled rows into folds."""
    rows = np.flatnonzero(items.labelled())
    # The first dealing keeps the streams that it had when there was no other.
    again = ("repeat", repeat) if repeat else ()
    where = f"{folds} folds" + (f" of repeat {repeat + 1}" if repeat else "")
    runs = []
    for number, judge in enumerate(deal(items, rows, folds, "split", "fold", *again, where=where)):
        name = f"f{repeat * folds + number}"
        train = np.setdiff1d(rows, judge)
        helds = deal(items, train, inner, "split", "inner", name, where=f"{inner} inner folds of {name}")
        fits = tuple(Fit(np.setdiff1d(train, held), held) for held in helds)
        runs.append(Run(name, fits, train, train, judge, repeat))
    return runs


def _check_sizes(wanted: Mapping[str, Any]) -> None:
    if wanted:
        raise UserError(
            "cross-fitting uses all labelled rows, so sizes of splits mean nothing",
            where="data.splits",
            got=", ".join(wanted),
            hint="leave the splits out, or judge rows apart: a split 'test' and protocol: locked",
        )


def _check_settings(wanted: Mapping[str, Any], protocol: str, counts: Mapping[str, tuple[int, int]]) -> None:
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", str(protocol), PROTOCOLS)
    problems = [
        f"{name} must be a whole number ≥ {least}, got {value!r}"
        for name, (value, least) in counts.items()
        if type(value) is not int or value < least
    ]
    for key, value in wanted.items():
        if key not in SPLIT_KEYS:
            raise unknown_name("split", str(key), SPLIT_KEYS, where="data.splits")
        words = () if key == "per_class" else ("all", "rest") if key == "train" else ("all",)
        if value not in words and (type(value) is not int or value < 1):
            options = ["a whole number ≥ 1", *(f"'{word}'" for word in words)]
            problems.append(f"{key} must be {' or '.join(options)}, got {value!r}")
    if "per_class" in wanted and isinstance(wanted.get("train"), int):
        problems.append("train and per_class both give a number of training rows")
    if problems:
        raise many_problems("the split cannot be made", problems, where="data.splits")


def _check_labels(items: Items) -> list[str]:
    """Refuses what no protocol can use; gives the notes."""
    if items.kind != "multiclass":
        _check_targets(items)
    elif len(items.classes) < 2:
        got = f"only '{items.classes[0]}'" if items.classes else "no labelled row"
        raise UserError("at least two classes are needed", where="data", got=got)
    bare = [row for row, label in enumerate(items.labels) if label is None]
    declared = [row for row in bare if items.splits[row] is not None]
    if declared:
        got = f"{len(declared)}, e.g. '{items.ids[declared[0]]}' in {items.splits[declared[0]]}"
        raise UserError("rows of a declared split have no label", where="data", got=got, hint="label or remove them")
    return [f"{len(bare)} unlabelled rows are not used"] if bare else []


def _check_targets(items: Items) -> None:
    """Refuses labels that never change and targets that have one value: nothing can be learned or judged of them."""
    if not items.labelled().any():
        raise UserError("no row has a label", where="data")
    targets, problems = items.targets()[items.labelled()], []
    for column, name in zip(targets.T, items.classes, strict=True):
        if np.all(column == column[0]):
            value = f"{column[0]:g}" if items.kind == "regression" else "never" if column[0] == 0 else "always"
            told = f"is {value} in all rows" if items.kind == "regression" else f"{value} holds"
            problems.append(f"{kind_of(items.kind).column} '{name}' {told}")
    if problems:
        what = f"{kind_of(items.kind).columns} that are the same for all rows"
        raise many_problems(what, problems, where="data", hint="leave them out")


def _check_groups(items: Items) -> None:
    if items.groups is None or not any(items.splits):
        return
    sides: dict[str, str] = {}
    for group, split in zip(items.groups, items.splits, strict=True):
        side = split or "train"
        if sides.setdefault(group, side) != side:
            raise UserError(
                "a group stands on both sides of a declared split",
                where="data",
                got=f"group '{group}' in {sides[group]} and {side}",
                hint="move its rows to one side, set protocol: crossfit, or leave the groups out",
            )


def _rows(rows: Sequence[int]) -> np.ndarray:
    return np.asarray(rows, dtype=np.int64)
