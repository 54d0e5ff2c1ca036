"""One way to turn records into JSON and into hashes, so that equal values have equal bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

# Most of any record is these; asking what else a value might be costs more than keeping it.
PLAIN = frozenset((str, int, bool, type(None)))


def plain(value: Any) -> Any:
    """Dataclasses, tuples, paths and numpy scalars as plain JSON values; refuses NaN and infinity."""
    if type(value) in PLAIN:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if isinstance(value, Path):
        return str(value)
    if getattr(value, "shape", None) == ():
        return plain(value.item())  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} has no place in a record; say undefined and why")
    return value


def tuples(value: Any) -> Any:
    """A record's lists as tuples, however deep."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def canonical(value: Any) -> str:
    """The one compact spelling of a value: sorted keys, no blanks, shortest floats."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical spelling, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def pretty(value: Any) -> str:
    """Sorted and indented, for files that people open; ends with a newline."""
    return json.dumps(plain(value), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
