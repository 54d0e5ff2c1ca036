"""Predictions, labels and scores from elsewhere: without this file only models trained here could be judged.

Everything is read into plain records; `join.py` ties them together by item id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.errors import UserError, unknown_name
from transfuse.evaluation.elsewhere.asked import ANSWERS, column_alone, kind_shown
from transfuse.evaluation.elsewhere.rounded import half_digit
from transfuse.evaluation.tables import listed
from transfuse.files.arrays import read_npy, read_npz
from transfuse.files.sheets import read_sheet
from transfuse.kinds import kind_of
from transfuse.types import Scale, TaskKind

ITEM, SEED, LABEL, GROUP, SPLIT = "item", "seed", "label", "group", "split"
FIRST_RUN = "s0"
SCALES: tuple[Scale, ...] = ("logit", "probability", "value")


@dataclass(frozen=True)
class Labels:
    """True labels by item, as text; groups and splits where they are given."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    splits: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Scores:
    """Scores [k, N, C] of one name; `ids` is None where rows follow the labels, `classes` where they have no names.

    `half` is half a unit of the last decimal that a file prints; 0 where nothing is known to be rounded.
    """

    name: str
    runs: tuple[str, ...]
    scores: np.ndarray
    ids: tuple[str, ...] | None = None
    scale: Scale | None = None
    classes: tuple[str, ...] | None = None
    half: float = 0.0


def missing_column(name: str, columns: Iterable[str], where: str, kind: str | None = None) -> UserError:
    """The refusal of a table without column `name`; `kind` is a hint at another kind of task."""
    return UserError(
        f"the column '{name}' is missing",
        where=where,
        got=f"columns {', '.join(columns) or 'none'}",
        hint="; or ".join(filter(None, (f"rename the column that plays this part to '{name}'", kind))),
    )


def read_csv(path: Path, needed: Sequence[str]) -> dict[str, list[str]]:
    """The columns of a CSV file with a header line, as text. Raises: `UserError` for what `read_sheet` refuses, and for
    columns that are needed and missing."""
    header, rows = read_sheet(path)
    for name in needed:
        if name not in header:
            raise missing_column(name, header, str(path))
    return {name: [row[place].strip() for row in rows] for place, name in enumerate(header)}


def numbers(cells: Sequence[str], where: str) -> np.ndarray:
    """Text cells as float64; the error names the first that is no number. `nan` passes, to be reported by its item."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        for row, cell in enumerate(cells):
            try:
                float(cell)
            except ValueError as error:
                raise UserError("a cell is no number", where=f"{where}, row {row + 1}", got=repr(cell)) from error
        raise


def repeated(names: Sequence[str]) -> list[str]:
    """The names that occur more than once, in order."""
    seen: set[str] = set()
    return list(dict.fromkeys(name for name in names if name in seen or seen.add(name)))


def unique_ids(ids: Sequence[str], where: str) -> tuple[str, ...]:
    """The ids, if they are there and all differ."""
    twice = repeated(ids)
    if twice:
        raise UserError("item ids must be unique", where=where, got=f"more than once: {listed(twice)}")
    return tuple(ids)


def as_scale(name: str, where: str) -> Scale:
    """The scale of that name."""
    for scale in SCALES:
        if scale == name:
            return scale
    raise unknown_name("scale", name, SCALES, where=where)


def array_of(values: Any, where: str, expected: str = "one label an item, or [N, C] of 0 and 1") -> np.ndarray:
    """What was given in Python as an array. Raises: `UserError` for rows of different lengths, such as names."""
    try:
        return np.asarray(values)
    except ValueError as error:
        hint = "scikit-learn's MultiLabelBinarizer().fit_transform(labels) makes names into such columns"
        hint = hint if where.startswith("labels") else None
        raise UserError("rows of different lengths are no array", where=where, expected=expected, hint=hint) from error


def texts(values: Any) -> list[str]:
    """Any sequence as text, whole numbers without a decimal point; ids and labels are compared as text."""
    array = array_of(values, "ids or labels").ravel()
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.round(array)).all():
        array = array.astype(np.int64)
    return [str(value) for value in array]


def read_labels(source: Any) -> Labels:
    """Labels from a CSV `item,label[,group][,split]`, from a mapping with these columns, or from an array [N].

    An array's items are called 0, 1, 2 … in order. Raises: `UserError` for missing columns, empty labels, repeated ids.
    """
    if isinstance(source, str | Path):
        where, columns = str(source), read_csv(Path(source), (ITEM,))
    elif isinstance(source, Mapping):
        where, columns = "labels", {str(name): _one_each(name, values) for name, values in source.items()}
    else:
        where, labels = "labels", _one_each(LABEL, source)
        columns = {ITEM: [str(row) for row in range(len(labels))], LABEL: labels}
    for name in (ITEM, LABEL):
        if name not in columns:
            others = [cells for other, cells in columns.items() if other not in (ITEM, GROUP, SPLIT)]
            raise missing_column(name, columns, where, kind_shown(others) if name == LABEL else None)
    for name in (LABEL, GROUP, SPLIT):
        if name in columns and len(columns[name]) != len(columns[ITEM]):
            raise UserError(f"'{name}' and '{ITEM}' differ in number", where=where)
        empty = [item for item, cell in zip(columns[ITEM], columns.get(name, ()), strict=False) if cell in ("", "nan")]
        if empty:
            raise UserError(f"{len(empty)} items have no {name}", where=where, got=listed(empty))
    if not columns[ITEM]:
        raise UserError("there are no labels", where=where)
    groups, splits = columns.get(GROUP), columns.get(SPLIT)
    return Labels(
        unique_ids(columns[ITEM], where),
        tuple(columns[LABEL]),
        tuple(groups) if groups else None,
        tuple(splits) if splits else None,
    )


def _one_each(name: Any, values: Any) -> list[str]:
    """One text an item; of several labels an item it is said which kind of task they belong to."""
    array = array_of(values, "labels")
    if name == LABEL and array.ndim == 2 and array.shape[1] > 1:
        got, hint = f"{array.dtype} {list(array.shape)}", kind_shown(array.T)
        raise UserError("items have one label each", where="labels", expected="[N] labels", got=got, hint=hint)
    return texts(array)


def read_predictions(name: str, source: Any, kind: TaskKind = "multiclass") -> Scores:
    """One set of predictions: a CSV, an npz, an npy or array [N, C] or [k, N, C], or a mapping of the npz's arrays.

    CSV: `item[,seed]` and one column a class, label or target. Numbers of a regression may also be an array [N]. npz
    and mapping: `scores`, `ids`, and where there are any `scale`, `seed` and `classes`; rows of several seeds stand one
    below another with `seed [M]`, or `scores` is [k, N, C].
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.suffix == ".npz":
            return _from_arrays(name, _widened(read_npz(path), kind), str(path))
        if path.suffix == ".npy":
            return _from_arrays(name, _widened({"scores": read_npy(path)}, kind), str(path))
        return _from_csv(name, path, kind)
    given = source if isinstance(source, Mapping) and source else {"scores": source}
    where = f"predictions '{name}'"
    arrays = {str(key): array_of(value, f"{where}, '{key}'", "[N, C]") for key, value in given.items()}
    return _from_arrays(name, _widened(arrays, kind), where)


def _widened(arrays: Mapping[str, np.ndarray], kind: TaskKind) -> Mapping[str, np.ndarray]:
    """One number an item [N] is one column [N, 1]."""
    scores = arrays.get("scores")
    if kind != "regression" or scores is None or scores.ndim != 1:
        return arrays
    return {**arrays, "scores": scores[:, None]}


def _from_csv(name: str, path: Path, kind: TaskKind) -> Scores:
    columns = read_csv(path, (ITEM,))
    classes = tuple(column for column in columns if column not in (ITEM, SEED))
    for column in (LABEL, GROUP, SPLIT):
        if column in classes:
            raise UserError(
                f"'{column}' is no class column",
                where=str(path),
                hint=f"labels come from a file of their own; {ANSWERS}",
            )
    if len(classes) < kind_of(kind).least:
        what = f"predictions need one column a {kind_of(kind).column}"
        hint = column_alone(classes[0], columns[classes[0]]) if classes else None
        raise UserError(what, where=str(path), got=f"columns {', '.join(columns)}", hint=hint)
    scores = np.stack([numbers(columns[column], f"{path}, column '{column}'") for column in classes], axis=1)
    runs, ids, stacked = by_run(columns[ITEM], columns.get(SEED), scores, str(path))
    half = half_digit(cell for column in classes for cell in columns[column])
    return Scores(name, runs, stacked, ids, None, classes, half)


def _from_arrays(name: str, arrays: Mapping[str, np.ndarray], where: str) -> Scores:
    if "scores" not in arrays:
        raise UserError("there is no array 'scores'", where=where, got=f"arrays {', '.join(arrays) or 'none'}")
    scores = arrays["scores"]
    if scores.dtype.kind not in "fiu" or scores.ndim not in (2, 3):
        raise UserError(
            "scores must be numbers [N, C] or [k, N, C]", where=where, got=f"{scores.dtype} {list(scores.shape)}"
        )
    scores = scores.astype(np.float64)
    scale = as_scale(str(arrays["scale"].ravel()[0]), where) if "scale" in arrays else None
    classes = tuple(texts(arrays["classes"])) if "classes" in arrays else None
    if classes is not None and len(unique_ids(classes, f"{where}, classes")) != scores.shape[-1]:
        raise UserError(
            "classes and score columns differ in number", where=where, got=f"{len(classes)} and {scores.shape[-1]}"
        )
    ids, seeds = (texts(arrays[key]) if key in arrays else None for key in ("ids", SEED))
    if scores.ndim == 2 and ids is not None:
        runs, found, scores = by_run(ids, seeds, scores, where)
        return Scores(name, runs, scores, found, scale, classes)
    stacked = scores if scores.ndim == 3 else scores[None]
    runs = tuple(run_name(seed) for seed in seeds) if seeds else tuple(f"s{row}" for row in range(len(stacked)))
    if len(runs) != len(stacked) or (ids is not None and len(ids) != stacked.shape[1]):
        raise UserError("seeds or ids do not match the scores", where=where, got=f"scores {list(stacked.shape)}")
    unique_ids(runs, f"{where}, seeds")
    return Scores(name, runs, stacked, None if ids is None else unique_ids(ids, where), scale, classes)


def run_name(seed: str) -> str:
    """Seed 0 is called s0; other names stay."""
    return f"s{seed}" if seed.isdigit() else seed


def by_run(
    ids: Sequence[str], seeds: Sequence[str] | None, scores: np.ndarray, where: str
) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Rows one below another as runs, ids and [k, N, C]; every run must hold every item once. [M], [M], [M, C]."""
    named = [FIRST_RUN] * len(ids) if seeds is None else [run_name(seed) for seed in seeds]
    if not len(named) == len(ids) == len(scores):
        raise UserError(
            "ids, seeds and scores differ in number", where=where, got=f"{len(ids)}, {len(named)}, {len(scores)}"
        )
    rows: dict[str, dict[str, int]] = {}
    twice: list[str] = []
    for row, (run, item) in enumerate(zip(named, ids, strict=True)):
        held = rows.setdefault(run, {})
        if item in held:
            twice.append(item)
        held[item] = row
    if twice:
        hint = None if seeds is not None else f"what several runs say of an item has their names in a column '{SEED}'"
        raise UserError("item ids must be unique", where=where, got=f"more than once: {listed(twice)}", hint=hint)
    order = tuple(next(iter(rows.values()), {}))
    for run, held in rows.items():
        missing = sorted(set(order).symmetric_difference(held))
        if missing:
            where, hint = f"{where}, seed {run}", "complete this seed, or leave it out"
            raise UserError("seeds do not hold the same items", where=where, got=listed(missing), hint=hint)
    places = [[held[item] for item in order] for held in rows.values()]
    return tuple(rows), order, scores[np.array(places, dtype=np.intp)]


def read_item_scores(path: Path) -> dict[str, dict[str, float]]:
    """Per-item scores from a CSV `item,candidate,score`, as {candidate: {item: score}}; one score each."""
    columns = read_csv(path, (ITEM, "candidate", "score"))
    scores = numbers(columns["score"], f"{path}, column 'score'")
    found: dict[str, dict[str, float]] = {}
    for item, candidate, score in zip(columns[ITEM], columns["candidate"], scores, strict=True):
        held = found.setdefault(candidate, {})
        if item in held:
            raise UserError(f"'{candidate}' has two scores for one item", where=str(path), got=f"item {item}")
        if not np.isfinite(score):
            raise UserError(f"'{candidate}' has a score that is not finite", where=str(path), got=f"item {item}")
        held[item] = float(score)
    return found
