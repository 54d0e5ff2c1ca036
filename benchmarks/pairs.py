"""Interleaved timing: A B A B …, the median of the ratios with their range; CPU time where no clock is named."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Act = Callable[[], object]
Clock = Callable[[], float]


def ratio(
    ours: Act, other: Act, *, pairs: int = 15, warm_up: int = 2, clock: Clock = time.process_time
) -> tuple[float, float, float]:
    """Median, least and largest of ours / other over interleaved pairs."""
    ratios = []
    for turn in range(pairs + warm_up):
        mine, theirs = seconds(ours, clock), seconds(other, clock)
        if turn >= warm_up:
            ratios.append(mine / theirs)
    return statistics.median(ratios), min(ratios), max(ratios)


def seconds(act: Act, clock: Clock = time.process_time) -> float:
    """What one act takes."""
    began = clock()
    act()
    return clock() - began


def line(what: str, found: tuple[float, float, float], goal: str) -> str:
    """One row of the table."""
    return f"{what:<58} {found[0]:6.2f}  [{found[1]:.2f}, {found[2]:.2f}]  {goal}"
