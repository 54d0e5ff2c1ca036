"""From a number to a row of evidence: without it every question would spell the same twenty fields in its own way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from transfuse.evaluation.claims import evidence_id
from transfuse.evaluation.measure import Estimate
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.statistics.resample import Interval, moments, powers_of_two
from transfuse.types import CLEAN, Direction, Evidence, Undefined, Value, checked

GRADIENT_STEP = 1e-6


@dataclass(frozen=True)
class Quantity:
    """What is measured: its name, unit, which direction is better, and the least and greatest value it can take."""

    name: str
    unit: str
    direction: Direction
    low: float | None = None
    high: float | None = None

    @classmethod
    def difference(cls, name: str, metric: Metric) -> Quantity:
        """Of two values of a metric, which differ by no more than it reaches."""
        reach = metric.possible(math.inf)
        ends = (-reach, reach) if math.isfinite(reach) else (None, None)
        return cls(name, metric.unit, metric.direction, *ends)


@dataclass(frozen=True)
class Subject:
    """Of what it is measured: an arm, perhaps against another; `detail` tells several rows of one couple apart."""

    arm: str
    versus: str | None = None
    split: str = "test"
    condition: str = CLEAN
    detail: str = ""

    def id(self, quantity: str) -> str:
        """The row's id, e.g. `class_difference:gate-vs-frozen/a:test:clean:bee`."""
        base = evidence_id(quantity, self.arm, self.versus, self.split, self.condition)
        return f"{base}:{self.detail}" if self.detail else base


@dataclass(frozen=True)
class Measured:
    """A value and what is known of it; without an interval, `method` says why or how it was made."""

    value: Value
    items: int = 0
    low: float | None = None
    high: float | None = None
    p: float | None = None
    method: str = ""
    per_run: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Estimate) -> Measured:
        """A metric's estimate."""
        known = found.interval if isinstance(found.interval, Interval) else None
        ends = (known.low, known.high, known.p()) if known else (None, None, None)
        return cls(found.value, found.items, *ends, method=found.method, per_run=found.per_run)

    @classmethod
    def not_there(cls, reason: str, items: int = 0) -> Measured:
        """What cannot be computed, and why."""
        return cls(Undefined(reason), items)

    def without_p(self) -> Measured:
        """The same without p, for facts of a couple whose natural null is not 0."""
        return replace(self, p=None)


def evidence(
    quantity: Quantity, subject: Subject, found: Measured, provenance: Mapping[str, Any] | None = None
) -> Evidence:
    """The row. Limits are clipped to what is possible; p belongs to paired rows only."""
    low, high = found.low, found.high
    if low is not None and quantity.low is not None:
        low = max(low, quantity.low)
    if high is not None and quantity.high is not None:
        high = min(high, quantity.high)
    runs = len(found.per_run)
    pairing = "item and run" if runs > 1 else "item"
    return Evidence(
        id=subject.id(quantity.name),
        arm=subject.arm,
        versus=subject.versus,
        quantity=quantity.name,
        value=found.value,
        unit=quantity.unit,
        direction=quantity.direction,
        split=subject.split,
        condition=subject.condition,
        low=low,
        high=high,
        level=None if low is None else 0.95,
        p=found.p if subject.versus else None,
        n=found.items,
        seeds=max(runs, 1),
        pairing=pairing if subject.versus else "none",
        method=found.method,
        provenance=({"per_run": dict(found.per_run)} if runs else {}) | dict(provenance or {}),
    )


def by_run(runs: Sequence[str], values: np.ndarray) -> dict[str, float]:
    """One number [k] a run, by the run's name."""
    return {run: float(value) for run, value in zip(runs, values, strict=True)}


def mean_of_items(
    values: np.ndarray,
    runs: Sequence[str],
    groups: Sequence[str] | np.ndarray | None = None,
    note: str = "",
    *,
    size: float = 1.0,
) -> Measured:
    """Mean of item values [k, N] over crossed runs and items, with the interval of `moments`."""
    found, per_run = moments(values, groups, size=size), by_run(runs, values.mean(axis=1))
    return Measured.of(Estimate(float(values.mean()), found, per_run, values.shape[1], note))


def mean_of_runs(per_run: Mapping[str, float], items: int = 0, note: str = "") -> Measured:
    """Mean over runs with a t interval over them; it speaks of the rows at hand only.

    No interval for one run, nor where all gave the same: nothing tells then how it would vary.
    """
    values = np.array(list(per_run.values()), dtype=np.float64)
    mean, count, told = float(values.mean()), len(values), f"; {note}" if note else ""
    if count < 2 or np.ptp(values) == 0.0:
        why = "one run" if count < 2 else f"all {count} runs gave the same"
        return Measured(mean, items, method=f"no interval: {why}{told}", per_run=per_run)
    half = float(stdtrit(count - 1, 0.975)) * float(values.std(ddof=1)) / count**0.5
    method = f"t interval over {count} runs, for these selection rows only{told}"
    return Measured(mean, items, mean - half, mean + half, method=method, per_run=per_run)


def smooth(
    columns: np.ndarray,
    law: Callable[[np.ndarray], np.ndarray],
    runs: Sequence[str],
    groups: Sequence[str] | np.ndarray | None,
    undefined: str,
) -> Measured:
    """A smooth function of column means, with its interval by the delta method. [k, N, q].

    In each run θ = law(m) of the means m [q]; item i stands for θ + ∇law(m) · (c_i − m), whose mean is θ, and the
    interval is that of `moments` over these. The gradient is taken by central differences, each column in steps of its
    own size. `Undefined(undefined)` where the law has no finite value in some run; no interval where it has no finite
    slope.
    """
    means, items = columns.mean(axis=1), columns.shape[1]
    steps = GRADIENT_STEP * powers_of_two(columns.reshape(-1, means.shape[-1]), axis=0)[0]
    step = np.diag(steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = law(means)
        slopes = (law(means[:, None] + step) - law(means[:, None] - step)) / (2 * steps)
    if not np.isfinite(values).all():
        return Measured.not_there(undefined, items)
    if not np.isfinite(slopes).all():
        method = "no interval: the value lies on the edge of what is possible"
        return Measured(float(values.mean()), items, method=method, per_run=by_run(runs, values))
    found = values[:, None] + np.einsum("knq,kq->kn", columns - means[:, None], slopes)
    value = checked(float(values.mean()), undefined)
    return Measured.of(Estimate(value, moments(found, groups), by_run(runs, values), items, "delta method"))


def figures(values: Sequence[float] | np.ndarray, digits: int = 4) -> list[float]:
    """Numbers for a curve, with so many significant digits."""
    return [float(f"{float(value):.{digits}g}") for value in values]
