"""Asking again where items had no answer; without it a person would move finished answers away to get the last ones.

Earlier answers are replaced only by answers that hold all of them, and only where a list of unread items lies beside
them: whatever else has the name is somebody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transfuse.errors import UserError
from transfuse.evaluation.tables import listed
from transfuse.files.sheets import read_sheet

BESIDE = ("unlike", "unread")
LISTED = ("item", "why")
# The same model on the same image, in a batch with others, and after nine printed digits.
RELATIVE, ABSOLUTE = 1e-5, 1e-6
HINT = "choose another --out, or move away what is there"


def files_of(out: Path) -> dict[str, Path]:
    """What may be written beside the answers: `unlike`, items unlike those that the model learnt from, and `unread`."""
    return {name: out.with_name(f"{out.stem}.{name}.csv") for name in BESIDE}


@dataclass(frozen=True)
class Earlier:
    """Answers in a file [n, C] that lacked some items, by item; `columns` are their names."""

    out: Path
    items: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray

    def require_asked(self, items: Sequence[str]) -> None:
        """Raises UserError, before the work, where an item that was answered is not asked for now."""
        there = set(items)
        if lost := [item for item in self.items if item not in there]:
            raise self._refusal(f"{len(lost)} items that it answers are not asked for now", listed(lost))

    def require_held(self, items: Sequence[str], columns: Sequence[str], values: np.ndarray) -> None:
        """Raises UserError where new answers do not say the same of every item that was answered."""
        if self.columns != tuple(columns):
            raise self._refusal("it holds answers of another model", ", ".join(self.columns)[:200])
        place = {item: row for row, item in enumerate(items)}
        held = [row for row, item in enumerate(self.items) if item in place]
        new = values[[place[self.items[row]] for row in held]]
        far = np.abs(new - self.values[held]) > ABSOLUTE + RELATIVE * np.abs(self.values[held])
        same = set(held) - {held[row] for row in np.flatnonzero(far.any(axis=1)).tolist()}
        if other := [item for row, item in enumerate(self.items) if row not in same]:
            raise self._refusal(f"{len(other)} items have other answers there", listed(other))

    def _refusal(self, what: str, got: str) -> UserError:
        return UserError(f"earlier answers would be lost: {what}", where=str(self.out), got=got, hint=HINT)


def earlier(out: Path) -> Earlier | None:
    """Earlier answers in this file that lacked some items; None where there is no list of unread items, or no file.

    Raises UserError where one of the files is not what this program writes.
    """
    beside = files_of(out)
    if not (out.is_file() and beside["unread"].is_file()):
        return None
    for path in (path for path in beside.values() if path.exists()):
        if tuple(_table(path)[0]) != LISTED:
            raise _somebodys(path)
    header, rows = _table(out)
    try:
        values = np.array([row[1:] for row in rows], dtype=np.float64)
    except ValueError as error:
        raise _somebodys(out) from error
    if header[0] != LISTED[0]:
        raise _somebodys(out)
    return Earlier(out, tuple(row[0] for row in rows), tuple(header[1:]), values)


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        return read_sheet(path)
    except UserError as error:
        raise _somebodys(path) from error


def _somebodys(path: Path) -> UserError:
    return UserError("there is a file of that name already", where=str(path), hint=HINT)
