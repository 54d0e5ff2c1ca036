"""True labels and numbers of several columns from elsewhere; without it `evaluate` would know classes only.

A CSV has `item`, then one column a label (0 or 1) or a target (numbers), and perhaps `group` and `split`. A mapping has
the same columns, or `label` as an array [N, C]. An array [N, C] (of a regression also [N]) has its items in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.errors import UserError
from transfuse.evaluation.elsewhere.files import (
    GROUP,
    ITEM,
    LABEL,
    SEED,
    SPLIT,
    Labels,
    array_of,
    missing_column,
    numbers,
    read_csv,
    texts,
    unique_ids,
)
from transfuse.evaluation.tables import listed
from transfuse.kinds import kind_of
from transfuse.types import ItemTable, TaskKind

BESIDE = (ITEM, GROUP, SPLIT, SEED)


@dataclass(frozen=True)
class Truth:
    """Targets [N, C] of labelled items; `names` where columns have them. `labels` holds ids, groups and splits."""

    labels: Labels
    targets: np.ndarray
    names: tuple[str, ...] | None


def read_truth(source: Any, kind: TaskKind) -> Truth:
    """The truth of a multilabel task or a regression. Raises: `UserError` that names the item whose cell is wrong."""
    if isinstance(source, str | Path):
        return _of_columns(read_csv(Path(source), (ITEM,)), kind, str(source))
    if isinstance(source, Mapping):
        return _of_mapping(source, kind)
    array = array_of(source, "labels")
    targets = _table(array, kind, "labels")
    ids = tuple(str(row) for row in range(len(targets)))
    return Truth(Labels(ids, ids), _checked(targets, ids, None, kind, "labels"), None)


def _of_mapping(source: Mapping[str, Any], kind: TaskKind) -> Truth:
    held = {str(name): array_of(values, f"labels, '{name}'") for name, values in source.items()}
    if ITEM not in held:
        raise missing_column(ITEM, held, "labels")
    if LABEL in held and held[LABEL].ndim == 2:
        labels = _labels({name: texts(held[name]) for name in BESIDE if name in held}, "labels")
        targets = _table(held[LABEL], kind, "labels")
        named = tuple(texts(held["classes"])) if "classes" in held else None
        return Truth(labels, _checked(targets, labels.ids, named, kind, "labels"), named)
    columns = {name: [str(value) for value in values.tolist()] for name, values in held.items()}
    columns |= {name: texts(held[name]) for name in BESIDE if name in held}
    return _of_columns(columns, kind, "labels")


def _of_columns(columns: Mapping[str, Sequence[str]], kind: TaskKind, where: str) -> Truth:
    names = tuple(name for name in columns if name not in BESIDE)
    if not names:
        expected = f"item, one column a {kind_of(kind).column}[, group][, split]"
        raise UserError("there is no column of labels", where=where, expected=expected, got=", ".join(columns))
    labels = _labels(columns, where)
    for name in names:
        if len(columns[name]) != len(labels.ids):
            raise UserError(f"the column '{name}' has another length", where=where, got=f"{len(columns[name])}")
    targets = np.stack([numbers(columns[name], f"{where}, column '{name}'") for name in names], axis=1)
    # One column that is called `label` says nothing of its name.
    named = None if names == (LABEL,) else names
    return Truth(labels, _checked(targets, labels.ids, named, kind, where), named)


def _labels(columns: Mapping[str, Sequence[str]], where: str) -> Labels:
    ids = unique_ids(list(columns[ITEM]), where)
    beside = {name: tuple(columns[name]) if name in columns else None for name in (GROUP, SPLIT)}
    for name, held in beside.items():
        if held is not None and len(held) != len(ids):
            raise UserError(f"the column '{name}' has another length", where=where, got=f"{len(held)}")
    return Labels(ids, ids, beside[GROUP], beside[SPLIT])


def _table(array: np.ndarray, kind: TaskKind, where: str) -> np.ndarray:
    wide = array[:, None] if array.ndim == 1 and kind == "regression" else array
    if wide.ndim != 2 or wide.dtype.kind not in "biuf":
        expected = "[N] or [N, T] numbers" if kind == "regression" else "[N, C] of 0 and 1"
        got = f"{array.dtype} {list(array.shape)}"
        raise UserError(f"labels of a {kind} task have another form", where=where, expected=expected, got=got)
    return wide.astype(np.float64)


def _checked(
    targets: np.ndarray, ids: Sequence[str], names: Sequence[str] | None, kind: TaskKind, where: str
) -> np.ndarray:
    """Targets whose cells are what the kind has; the first wrong items are named."""
    wrong = ~np.isfinite(targets) if kind == "regression" else (targets != 0) & (targets != 1)
    if wrong.any():
        rows = np.flatnonzero(wrong.any(axis=1)).tolist()
        columns = [str(names[number] if names else number) for number in np.flatnonzero(wrong.any(axis=0)).tolist()]
        what = "targets are no finite numbers" if kind == "regression" else "labels are neither 0 nor 1"
        got = f"items {listed([ids[row] for row in rows])}; columns {listed(columns)}"
        raise UserError(f"{int(wrong.sum())} {what}", where=where, got=got)
    return targets if kind == "regression" else targets.astype(np.int64)


def items_of(truth: Truth, names: Sequence[str], split: str | None) -> ItemTable:
    """The items of a split (None: all), with targets in the order of `names`, the score columns."""
    labels, targets = truth.labels, truth.targets
    if truth.names is not None and tuple(truth.names) != tuple(names):
        strange = sorted(set(truth.names).symmetric_difference(names))
        if strange:
            raise UserError(
                "predictions and labels have different columns",
                expected=", ".join(truth.names[:10]),
                got=", ".join(list(names)[:10]),
                hint=f"without its partner: {listed(strange)}",
            )
        targets = targets[:, [truth.names.index(name) for name in names]]
    elif targets.shape[1] != len(names):
        got = f"{targets.shape[1]} and {len(names)}"
        raise UserError("labels and predictions have different numbers of columns", got=got)
    rows = [row for row in range(len(labels.ids)) if split is None or (labels.splits or ())[row : row + 1] == (split,)]
    groups = labels.groups
    return ItemTable(
        tuple(labels.ids[row] for row in rows),
        targets[rows],
        None if groups is None else tuple(groups[row] for row in rows),
    )
