"""The journal: one JSON line per event, appended by every process of a run; console and report read it.

A line is written with one `write` to a file opened for appending, so lines of several processes do not mix.
A torn line (power cut, full disk) is skipped when reading; what is written next begins a line of its own.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Emit = Callable[..., None]
Listener = Callable[[Mapping[str, Any]], None]


@dataclass
class Journal:
    """Append-only event file of a run folder."""

    path: Path
    clock: Callable[[], float] = time.time
    listeners: Sequence[Listener] = ()

    def emit(self, event: str, **details: Any) -> None:
        """Append one event; `details` must be JSON values."""
        record = {"at": round(self.clock(), 3), "event": event, **details}
        line = json.dumps(record, sort_keys=True, ensure_ascii=False, default=str) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, (("\n" if _torn(handle) else "") + line).encode())
        finally:
            os.close(handle)
        for listener in self.listeners:
            listener(record)

    def read(self) -> Iterator[dict[str, Any]]:
        """All whole lines, oldest first."""
        if not self.path.exists():
            return
        # Not `splitlines`, which also breaks at characters that JSON leaves inside a string, such as U+2028.
        for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict) and isinstance(record.get("event"), str):
                yield record


def _torn(handle: int) -> bool:
    """Whether a file ends within a line. One that another process is writing may count: an empty line is skipped."""
    if os.fstat(handle).st_size == 0:
        return False
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) != b"\n"


def silent(event: str, **details: Any) -> None:
    """An `emit` that keeps nothing."""
