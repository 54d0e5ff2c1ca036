"""Columns of a table beside its images or texts: without it what is known of an item beside its picture would be lost.

A column of numbers is one whose cells are all numbers, or say nothing; any other holds categories. Which columns there
are is said under `data`, `columns: all`, a list of names, or {NAME: number} and {NAME: category} where looks deceive.
Names of categories come from the whole table, as names of classes do; every number that a training takes of them comes
from its own rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfuse import cells
from transfuse.data.items import class_order
from transfuse.errors import UserError, unknown_name

ALL, CATEGORY = "all", "category"
KINDS = (cells.NUMBER, CATEGORY)
MOST_CATEGORIES = 100
# What float32 may lose of a column's spread.
LOSABLE = 1e-3


@dataclass(frozen=True)
class Columns:
    """Columns by name, their cells [N] each; `stated` are kinds that somebody said, `every` whether all are meant."""

    found: Mapping[str, Sequence[str]]
    stated: Mapping[str, str]
    every: bool

    def rows(self) -> list[dict[str, str]]:
        """The cells of each row by name."""
        return [dict(zip(self.found, row, strict=True)) for row in zip(*self.found.values(), strict=True)]

    def schema(self, where: str) -> tuple[dict[str, Any], list[str]]:
        """{name: "number" or its categories}, and sentences on them for the report.

        Raises UserError for a column without a value, one of too many categories, and numbers that lose their
        differences in single precision; where all columns are meant these are left out, which a sentence says.
        """
        made: dict[str, Any] = {}
        told, left = [], []
        for name, column in self.found.items():
            there = [cell.strip() for cell in column if not cells.missing(cell)]
            kind = self.stated.get(name) or (cells.NUMBER if there and all(map(_is_number, there)) else CATEGORY)
            names = sorted(set(there), key=class_order)
            if problem := _problem(kind, there, names, name, where):
                if not self.every:
                    raise UserError(f"column '{name}' {problem[0]}", where=where, hint=problem[1])
                left.append(f"{name} {problem[0]}")
                continue
            made[name] = cells.NUMBER if kind == cells.NUMBER else names
            gone = len(column) - len(there)
            what = "a number" if kind == cells.NUMBER else f"{len(names)} categor{'y' if len(names) == 1 else 'ies'}"
            said = [what, *([f"{gone:,} of {len(column):,} missing"] if gone else [])]
            if len(set(map(float, names)) if kind == cells.NUMBER else names) == 1:
                said.append("the same wherever it stands" if gone else "always the same: says nothing")
            told.append(f"{name} ({', '.join(said)})")
        if not made:
            raise UserError("no column can be read", where=where, got="; ".join(left) or "none")
        sentences = [f"columns beside the items: {', '.join(told)}"]
        return made, sentences + ([f"columns left out: {'; '.join(left)}"] if left else [])


def asked(wanted: Any, others: Sequence[str], header: Sequence[str], where: str) -> tuple[list[str], dict[str, str]]:
    """The columns meant, and the kinds stated. `others` are those without a role. Raises UserError for unknown ones."""
    if wanted == ALL:
        return list(others), {}
    if isinstance(wanted, str):
        wanted = [wanted]
    if not isinstance(wanted, list | tuple | Mapping) or not wanted:
        expected = "columns: all, [NAME, …] or {NAME: number or category}"
        raise UserError("columns are named", where=where, expected=expected, got=repr(wanted)[:80])
    names = [str(name) for name in wanted]
    for name in names:
        if name not in others:
            if name in header:
                raise UserError(f"column '{name}' has a role already", where=where, hint="leave it out of `columns`")
            raise unknown_name("column", name, others, where=where)
    if len(set(names)) != len(names):
        raise UserError("a column is named twice", where=where, got=", ".join(names)[:200])
    stated = {str(name): str(kind) for name, kind in wanted.items()} if isinstance(wanted, Mapping) else {}
    for kind in stated.values():
        if kind not in KINDS:
            raise unknown_name("kind of column", kind, KINDS, where=where)
    return names, stated


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _problem(kind: str, there: Sequence[str], names: Sequence[str], name: str, where: str) -> tuple[str, str] | None:
    """Why a column cannot be read, and what would help."""
    if not there:
        return "is empty", "leave it out"
    if kind == CATEGORY:
        if len(names) <= MOST_CATEGORIES:
            return None
        return f"holds {len(names):,} different texts, more than {MOST_CATEGORIES} categories", "leave it out"
    values = np.array([cells.number(cell, name, where) for cell in there])
    lost, spread = float(np.abs(values - values.astype(np.float32)).max()), float(np.ptp(values))
    if np.isfinite(lost) and lost <= LOSABLE * spread or not spread:
        return None
    return "loses its differences in single precision", "subtract what all its numbers have in common"
