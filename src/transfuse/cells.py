"""Columns of a table as arrays: without it the numbers and categories beside an image could not go where images go.

The canvas of a row's cells is what stands in them by name, as JSON in UTF-8, [L] uint8 with zeros after its end, as
texts lie on theirs: a table of other columns, or in another order, is read by name. Inside a source's door cells become
numbers by the source's own schema, as a tokenizer's words do. With K columns of numbers and categories c_1, …, c_m:

    block = (x_1, …, x_K, a_1, …, a_K, [v_1 = c_11], [v_1 = c_12], …)                    [N, 2K + m]

A missing number has x = 0 and a = 1, a missing or unknown category zeros in all its places. What stands for a missing
number in the end is the mean of the training rows (`fusion/joints.py`). Torch-free.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from transfuse import texts
from transfuse.errors import UserError, unknown_name

# Deterministic other looks for copies of one source: every other column, the rest missing.
VIEWS = ("plain", "odd", "even")
NUMBER = "number"
MISSING = ("", "na", "n/a", "nan", "null")

# A column's name, and after it the categories that it may hold; of a number there are none.
Schema = tuple[tuple[str, ...], ...]
Row = Mapping[str, str]


def missing(cell: str) -> bool:
    """Whether a cell says nothing: empty, NA, N/A, NaN or null."""
    return cell.strip().casefold() in MISSING


def content(row: Row) -> np.ndarray:
    """The bytes of a row's cells [n] uint8; those that say nothing are left out."""
    said = {name: cell.strip() for name, cell in row.items() if not missing(cell)}
    return texts.content(json.dumps(said, ensure_ascii=False, separators=(",", ":")) if said else "")


def read(canvas: np.ndarray) -> list[dict[str, str]]:
    """The cells of canvases [N, L], by name."""
    return [json.loads(text) if text else {} for text in texts.read(canvas)]


def seen(canvas: np.ndarray, view: str) -> np.ndarray:
    """A view of canvases [N, L]: as they are, or every other column by name from the first or the second on."""
    start = {"odd": 0, "even": 1}.get(view)
    if start is None:
        return canvas
    kept = [{name: row[name] for name in sorted(row)[start::2]} for row in read(canvas)]
    return texts.laid([content(row) for row in kept], canvas.shape[1])


def numbers(schema: Schema) -> int:
    """How many columns hold numbers."""
    return sum(len(column) == 1 for column in schema)


def width(schema: Schema) -> int:
    """The width D of the block."""
    return 2 * numbers(schema) + sum(len(column) - 1 for column in schema)


def encoded(rows: Sequence[Row], schema: Schema, where: str | None = None) -> np.ndarray:
    """The block of these rows [N, D] float32. Raises UserError for a column of numbers that holds something else."""
    block = np.zeros((len(rows), width(schema)), dtype=np.float32)
    of_numbers = [name for name, *rest in schema if not rest]
    for place, name in enumerate(of_numbers):
        for line, row in zip(block, rows, strict=True):
            if missing(cell := row.get(name, "")):
                line[len(of_numbers) + place] = 1
            else:
                line[place] = number(cell, name, where)
    start = 2 * len(of_numbers)
    for name, *categories in (column for column in schema if len(column) > 1):
        at = {category: start + place for place, category in enumerate(categories)}
        for line, row in zip(block, rows, strict=True):
            if (place := at.get(row.get(name, "").strip())) is not None:
                line[place] = 1
        start += len(categories)
    return block


def number(cell: str, name: str, where: str | None = None) -> float:
    """The number in a cell. Raises UserError where there is none, or none that is finite."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        expected = "a finite number, or nothing"
        raise UserError(f"column '{name}' holds no number", where=where, expected=expected, got=repr(cell)[:60])
    return value


def schema_of(stated: Mapping[str, object], names: Sequence[str] | None, where: str) -> Schema:
    """The schema of these columns (None: of all that are stated), from {name: "number" or a list of categories}.

    Raises UserError for a column that is not there, and for a statement that is neither.
    """
    found = []
    for name in names if names is not None else stated:
        if name not in stated:
            raise unknown_name("column", name, stated, where=where)
        kind = stated[name]
        if kind == NUMBER:
            found.append((name,))
        elif isinstance(kind, list | tuple) and kind and all(isinstance(each, str) for each in kind):
            found.append((name, *kind))
        else:
            expected = f"'{NUMBER}' or a list of categories"
            raise UserError(f"nobody knows what column '{name}' holds", where=where, expected=expected, got=repr(kind))
    if not found:
        hint = "data: {csv: FILE, columns: all}; or beside the source, prepare: {age: number, place: [sea, wood]}"
        raise UserError("there are no columns to read", where=where, hint=hint)
    return tuple(found)


def filled(block: np.ndarray, count: int) -> np.ndarray:
    """A block [N, D] whose first `count` columns are numbers, with the mean of those that are there for missing ones.

    For looks at features that no joint has settled; without numbers the block as it is.
    """
    if not count:
        return block
    there = block[:, count : 2 * count] == 0
    means = (block[:, :count] * there).sum(axis=0, dtype=np.float64) / np.maximum(there.sum(axis=0), 1)
    whole = block.copy()
    whole[:, :count] = np.where(there, block[:, :count], means.astype(block.dtype))
    return whole
