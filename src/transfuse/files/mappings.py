"""Which class of one label set is which of another, from a file; without it 1,000 classes would be mapped by hand."""

from __future__ import annotations

import json
from pathlib import Path

from transfuse.errors import UserError, first_line
from transfuse.files.sheets import read_sheet

LARGEST_BYTES = 16 << 20
OWN, TARGET = "own", "target"


def read_mapping(path: Path) -> dict[str, str | None]:
    """`{own: target}` from a CSV with the columns `own,target`, or a JSON object; an empty target means none.

    Raises `UserError` for an absent, too large or unreadable file, missing columns, and own classes that stand twice.
    """
    where = str(path)
    if not path.is_file():
        raise UserError("there is no such mapping of classes", where=where, expected="a CSV own,target, or JSON")
    if path.stat().st_size > LARGEST_BYTES:
        raise UserError("this file is too large to map classes", where=where, expected="at most 16 MiB")
    try:
        pairs = _from_json(path.read_text(encoding="utf-8-sig")) if path.suffix == ".json" else _from_csv(path)
    except (ValueError, RecursionError) as error:
        raise UserError("this mapping of classes cannot be read", where=where, got=first_line(error)) from error
    found: dict[str, str | None] = {}
    for own, target in pairs:
        if own in found:
            raise UserError("an own class is mapped twice", where=where, got=f"'{own}'")
        found[own] = target or None
    if not found:
        raise UserError("this mapping of classes is empty", where=where)
    return found


def _from_json(text: str) -> list[tuple[str, str]]:
    read = json.loads(text, object_pairs_hook=list)
    if not isinstance(read, list) or not all(isinstance(one, tuple) and len(one) == 2 for one in read):
        raise ValueError("not an object of names")
    if any(not isinstance(target, str | None) for _, target in read):
        raise ValueError("a class is mapped to something that is no name")
    return [(own, target or "") for own, target in read]


def _from_csv(path: Path) -> list[tuple[str, str]]:
    header, rows = read_sheet(path)
    if OWN not in header or TARGET not in header:
        raise ValueError(f"columns {', '.join(header)}, expected {OWN},{TARGET}")
    own, target = header.index(OWN), header.index(TARGET)
    return [(row[own].strip(), row[target].strip()) for row in rows]
