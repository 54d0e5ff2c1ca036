"""Interleaved timing: A B A B …, CPU time, the median of the ratios with their range."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Act = Callable[[], object]


def ratio(ours: Act, other: Act, *, pairs: int = 15, warm_up: int = 2) -> tuple[float, float, float]:
    """Median, least and largest of ours / other over interleaved pairs."""
    ratios = []
    for turn in range(pairs + warm_up):
        mine, theirs = _seconds(ours), _seconds(other)
        if turn >= warm_up:
            ratios.append(mine / theirs)
    return statistics.median(ratios), min(ratios), max(ratios)


def _seconds(act: Act) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def line(what: str, found: tuple[float, float, float], goal: str) -> str:
    """One row of the table."""
    return f"{what:<58} {found[0]:6.2f}  [{found[1]:.2f}, {found[2]:.2f}]  {goal}"
