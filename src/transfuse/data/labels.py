"""Labels of all kinds from columns and arrays; without it each reader would have its own idea of a missing target.

Whatever a reader finds (texts, flags, numbers) becomes one label an item: the names that hold, or the numbers, or None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from transfuse.errors import UserError
from transfuse.types import TaskKind

TRUE, FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
SEPARATOR = ";"
VALUE = "value"
BINARISE = (
    "names become columns of 0 and 1 by scikit-learn's MultiLabelBinarizer().fit_transform(y), whose classes_ are "
    "then {x: ..., y: ..., classes: ...}"
)
Found = list[tuple[str, ...] | tuple[float, ...] | None]


def tags(texts: Sequence[str], where: str, separator: str = SEPARATOR) -> Found:
    """Labels that hold, from texts such as `cat;dog`; an empty text is unlabelled, a lone separator has no label."""
    if not separator.strip():
        raise UserError("a separator of labels must be a visible character", where=where, got=repr(separator))
    found: Found = []
    for row, text in enumerate(texts):
        names = [name.strip() for name in text.split(separator) if name.strip()]
        if len(set(names)) != len(names):
            raise UserError("a label is named twice", where=f"{where}, data row {row + 1}", got=text[:80])
        found.append(tuple(names) if text.strip() else None)
    return found


def flags(cells: np.ndarray, names: Sequence[str], where: str) -> Found:
    """Labels that hold, from one column a label [N, C]: texts or numbers, 0 or 1; a row of empty texts or -1 is
    unlabelled. Errors name the first cell that is neither."""
    _check_shape(cells, names, where)
    found: Found = []
    for row, values in enumerate(cells.tolist()):
        flags_of = [_flag(value) for value in values]
        if all(flag is None and _absent(value) for flag, value in zip(flags_of, values, strict=True)):
            found.append(None)
            continue
        if None in flags_of:
            place = flags_of.index(None)
            raise UserError(
                "a label is neither 0 nor 1",
                where=f"{where}, data row {row + 1}, label '{names[place]}'",
                expected="0 or 1, or nothing in the whole row where it is unlabelled",
                got=repr(values[place])[:80],
            )
        found.append(tuple(name for name, flag in zip(names, flags_of, strict=True) if flag))
    return found


def numbers(cells: np.ndarray, names: Sequence[str], where: str) -> Found:
    """Targets of a regression, one column a target [N, T]; a row of empty texts is unlabelled.

    Errors: text that is no number, NaN and infinity, rows that have some targets and lack others.
    """
    _check_shape(cells, names, where)
    found: Found = []
    for row, values in enumerate(cells.tolist()):
        if all(isinstance(value, str) and not value.strip() or value is None for value in values):
            found.append(None)
            continue
        read = [_number(value) for value in values]
        if None in read:
            place = read.index(None)
            raise UserError(
                "a target is no number",
                where=f"{where}, data row {row + 1}, target '{names[place]}'",
                expected="a finite number, or nothing in the whole row where it is unlabelled",
                got=repr(values[place])[:80],
            )
        found.append(tuple(value for value in read if value is not None))
    return found


def of_array(array: np.ndarray, kind: TaskKind, names: Sequence[str] | None, where: str) -> tuple[Found, list[str]]:
    """Labels and the names of their columns from an array [N, C] of flags, or [N] or [N, T] of numbers.

    Without names, labels are called 0, 1, …; so are several targets, and one is called `value`.
    """
    cells = array[:, None] if kind == "regression" and array.ndim == 1 else array
    if cells.ndim != 2:
        expected = "[N] or [N, T] numbers" if kind == "regression" else "[N, C] of 0 and 1"
        what = f"targets of a {kind} task have another shape"
        hint = BINARISE if kind == "multilabel" else None
        raise UserError(what, where=where, expected=expected, got=f"{list(array.shape)}", hint=hint)
    if kind == "multilabel" and cells.dtype.kind in "OU" and not {_flag(cell) for cell in cells.ravel()} - {None}:
        got = repr(cells[0].tolist())[:80]
        raise UserError("these labels are names", where=where, expected="[N, C] of 0 and 1", got=got, hint=BINARISE)
    width = cells.shape[1]
    default = [VALUE] if kind == "regression" and width == 1 else [str(number) for number in range(width)]
    known = [str(name) for name in names] if names is not None else default
    if len(set(known)) != len(known):
        raise UserError("two columns of targets have one name", where=where, got=", ".join(known)[:200])
    return (numbers if kind == "regression" else flags)(cells, known, where), known


def _check_shape(cells: np.ndarray, names: Sequence[str], where: str) -> None:
    if cells.ndim != 2 or cells.shape[1] != len(names) or not names:
        expected = f"{len(names)} columns: {', '.join(names[:10])}" if names else "one column or more"
        raise UserError(
            "targets and their names differ in number", where=where, expected=expected, got=f"shape {list(cells.shape)}"
        )


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        text = value.strip().lower()
        return True if text in TRUE else False if text in FALSE else None
    return bool(value) if isinstance(value, bool | int | float) and value in (0, 1) else None


def _absent(value: Any) -> bool:
    return value is None or value == -1 or (isinstance(value, str) and not value.strip())


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None
