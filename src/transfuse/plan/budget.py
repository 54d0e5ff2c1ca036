"""What a recipe may spend; without it a search would not know what nobody could ship."""

from __future__ import annotations

import math
import re
from typing import Any

from pydantic import Field, field_validator

from transfuse.plan.task import Strict

UNITS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "hour": 3600.0, "hours": 3600.0}
SIZES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}


class Budget(Strict):
    """`train` ends the run; `latency`, `flops` (of one item) and `memory` (bytes of its weights) limit what is shipped;
    all limit a search."""

    train: float | None = None
    latency: float | None = None
    flops: float | None = Field(default=None, gt=0)
    memory: float | None = None

    @field_validator("train", "latency", mode="before")
    @classmethod
    def _duration(cls, value: Any) -> float | None:
        return None if value is None else seconds(value)

    @field_validator("memory", mode="before")
    @classmethod
    def _size(cls, value: Any) -> float | None:
        return None if value is None else size_bytes(value)


def seconds(value: Any) -> float:
    """`20min`, `20 min`, `1h`, `30 ms` or a number of seconds."""
    found = _measured(value, UNITS)
    if found is None:
        raise ValueError(f"{value!r} is no duration; write 20min, 90 s, 1h or 30 ms")
    return found


def size_bytes(value: Any) -> float:
    """`50 MB`, `1.5GB`, `200 MiB` or a number of bytes."""
    found = _measured(value, SIZES)
    if found is None:
        raise ValueError(f"{value!r} is no size; write 50 MB, 1.5 GB or 200 MiB")
    return found


def _measured(value: Any, units: dict[str, float]) -> float | None:
    """A positive number with its unit; None where it is none."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", str(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        unit = None if match is None else match[2] if units is UNITS else match[2].lower()
        found = float(match[1]) * units[unit] if match and unit in units else 0.0
    return found if 0 < found < math.inf else None
