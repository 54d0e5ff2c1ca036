"""JSON of strangers, read with care; without it each of its readers would forget another of the ways it can be bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transfuse.errors import UserError, first_line

LARGEST_BYTES = 256 << 20


def json_object(path: Path, what: str, *, hint: str | None = None, largest: int = LARGEST_BYTES) -> dict[str, Any]:
    """The JSON object in a file; `what` is said of a file that holds none.

    Its size is looked at before it is read. Raises UserError for what is no regular file, too large, no UTF-8, no JSON,
    no object at its top, and for numbers that JSON does not have (NaN, infinity).
    """
    where = str(path)
    try:
        if not path.is_file():
            raise UserError(what, where=where, expected=path.name, got="no such file", hint=hint)
        if path.stat().st_size > largest:
            got = f"{path.stat().st_size:,} bytes"
            raise UserError(what, where=where, expected=f"at most {largest >> 20} MiB", got=got, hint=hint)
        found = parsed(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(what, where=where, got=first_line(error), hint=hint) from error
    if not isinstance(found, dict):
        raise UserError(what, where=where, expected="a JSON object", got=type(found).__name__, hint=hint)
    return found


def parsed(text: bytes | str) -> Any:
    """JSON as it is defined: UTF-8, finite numbers, not nested without end. Raises ValueError for anything else."""
    try:
        return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("it is nested without end") from error


def _refused(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")
