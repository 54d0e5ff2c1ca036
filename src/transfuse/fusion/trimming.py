"""Where TIES' thresholds lie, exactly, from a sample and a count; without it whole tensors would be sorted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

DEVIATIONS = 6


def ranges(parts: Mapping[str, list[np.ndarray]], density: float) -> list[tuple[float, float]]:
    """Magnitudes [low, high] of each source that its threshold lies between, as a sample tells."""
    found = []
    for source in range(len(next(iter(parts.values()))[0])):
        sample = np.sort(np.concatenate([piece[source] for part in parts.values() for piece in part]))[::-1]
        slack = DEVIATIONS * (1 + np.sqrt(sample.size * density * (1 - density)))
        first, last = int(density * sample.size - slack), int(np.ceil(density * sample.size + slack))
        high = float(sample[first]) if first >= 0 and sample.size else np.inf
        low = float(sample[last]) if last < sample.size else 0.0
        found.append((low, high))
    return found


def thresholds_of(parts: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Each source's k-th largest magnitude, and how many equal ones stay in which piece; None if it lies elsewhere."""
    kept = count_of(sum(part["size"] for part in parts.values()), settings)
    above = np.sum([part["above"] for part in parts.values()], axis=0)
    thresholds: list[float] = []
    equal: dict[tuple[str, int], list[int]] = {}
    for source in range(len(above)):
        near: list[tuple[str, int, np.ndarray, int]] = [
            (name, piece, *rows[source]) for name, part in parts.items() for piece, rows in part["near"].items()
        ]
        left = kept - int(above[source])
        if kept == 0:
            thresholds.append(np.inf)
            continue
        if not 0 < left <= sum(values.size * number for _, _, values, number in near):
            return None
        values, numbers_of = (
            np.concatenate([row[2] for row in near]),
            np.concatenate([np.full(row[2].size, row[3]) for row in near]),
        )
        thresholds.append(_largest_but(values, numbers_of, left))
        if settings["kept"] == "threshold":
            # All equal ones stay: what lies above the next smaller number.
            thresholds[-1] = float(np.nextafter(thresholds[-1], -np.inf))
            continue
        room = left - int(numbers_of[values > thresholds[-1]].sum())
        for name, piece, values, number in near:
            taken = min(room, int((values == thresholds[-1]).sum()) * number)
            if taken:
                equal.setdefault((name, piece), [0] * len(above))[source] = taken
                room -= taken
    return {"thresholds": thresholds, "equal": equal}


def _largest_but(values: np.ndarray, numbers: np.ndarray, place: int) -> float:
    """The `place`-th largest of values that each stand for a number of equal ones."""
    if values.size == numbers.sum():
        return float(np.partition(values, values.size - place)[values.size - place])
    order = np.argsort(values)[::-1]
    return float(values[order][np.searchsorted(np.cumsum(numbers[order]), place)])


def count_of(size: int, settings: Mapping[str, Any]) -> int:
    """How many of so many entries stay."""
    kept = int(settings["density"] * size)
    return min(size, {"exact": kept, "one": max(1, kept), "threshold": kept + 1}[settings["kept"]])
