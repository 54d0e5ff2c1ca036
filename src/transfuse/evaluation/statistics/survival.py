"""Times of runs some of which never arrive: without censoring, slow runs would be dropped and speed flattered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from transfuse.errors import UserError
from transfuse.types import Undefined, Value


@dataclass(frozen=True)
class Times:
    """When each run arrived, or until when it was watched without arriving. Times [k] ≥ 0 and whether it `reached`."""

    times: np.ndarray
    reached: np.ndarray

    def __post_init__(self) -> None:
        if self.times.shape != self.reached.shape or not len(self.times) or not (self.times >= 0).all():
            raise UserError("times must be numbers from 0 on, one a run", got=str(self.times.tolist()))

    @property
    def censored(self) -> int:
        """How many runs did not arrive."""
        return int((~self.reached).sum())

    @property
    def horizon(self) -> float:
        """Until when the share of runs still under way is known: the last time of any run."""
        return float(self.times.max())


def survival(found: Times) -> tuple[np.ndarray, np.ndarray]:
    """Kaplan–Meier: distinct arrival times [E] and the share still under way after each [E]. Kaplan, Meier, 1958."""
    arrivals = np.unique(found.times[found.reached])
    at_risk = np.array([(found.times >= moment).sum() for moment in arrivals])
    arrived = np.array([((found.times == moment) & found.reached).sum() for moment in arrivals])
    return arrivals, np.cumprod(1.0 - arrived / np.maximum(at_risk, 1))


def restricted_mean(found: Times, horizon: float | None = None) -> float:
    """Mean time up to a horizon (by default the last time known): the area under Kaplan–Meier's curve.

    The plain mean where every run arrived before it. Irwin, 1949.
    """
    limit = found.horizon if horizon is None else min(horizon, found.horizon)
    arrivals, under_way = survival(found)
    inside = arrivals < limit
    edges = np.concatenate([[0.0], arrivals[inside], [limit]])
    return float((np.diff(edges) * np.concatenate([[1.0], under_way[inside]])).sum())


def median(found: Times) -> Value:
    """The first time by which at least half of the runs arrived; `Undefined` where fewer did."""
    arrivals, under_way = survival(found)
    half = np.flatnonzero(under_way <= 0.5)
    return float(arrivals[half[0]]) if len(half) else Undefined("fewer than half of the runs reached it")


def log_rank(first: Times, second: Times) -> Value:
    """Two-sided p that both arrive at the same pace: Mantel, 1966, with the hypergeometric variance.

    `Undefined` where no moment has runs of both sides under way.
    """
    excess, variance = 0.0, 0.0
    for moment in np.unique(np.concatenate([first.times[first.reached], second.times[second.reached]])):
        one, other = (int((side.times >= moment).sum()) for side in (first, second))
        arrived = [int(((side.times == moment) & side.reached).sum()) for side in (first, second)]
        total, events = one + other, sum(arrived)
        excess += arrived[0] - events * one / total
        if total > 1:
            variance += events * (one / total) * (other / total) * (total - events) / (total - 1)
    if variance == 0.0:
        return Undefined("the runs of the two arms are never under way together")
    return float(chdtrc(1.0, excess**2 / variance))


def first_reached(curve: Sequence[tuple[float, float]], target: float) -> tuple[float, bool]:
    """When a curve of (time, loss) first has a loss at or below the target, or its last time and False; in steps."""
    for time, loss in curve:
        if loss <= target:
            return time, True
    return curve[-1][0], False
