"""Which class of one label set is which of another, from a file; without it 1,000 classes would be mapped by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from transfuse.errors import UserError

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
        text = path.read_text(encoding="utf-8-sig")
        pairs = _from_json(text) if path.suffix == ".json" else _from_csv(text)
    except (UnicodeDecodeError, ValueError, RecursionError, csv.Error) as error:
        raise UserError("this mapping of classes cannot be read", where=where, got=str(error)[:200]) from error
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


def _from_csv(text: str) -> list[tuple[str, str]]:
    rows = [row for row in csv.reader(text.splitlines(), strict=True) if row]
    header = [cell.strip() for cell in rows[0]] if rows else []
    if OWN not in header or TARGET not in header:
        raise ValueError(f"columns {', '.join(header) or 'none'}, expected {OWN},{TARGET}")
    if any(len(row) != len(header) for row in rows):
        raise ValueError("lines differ in length")
    own, target = header.index(OWN), header.index(TARGET)
    return [(row[own].strip(), row[target].strip()) for row in rows[1:]]
