"""From an interval to a status: without one fixed rule, "better" would mean something else in every table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transfuse.evaluation.case import Case
from transfuse.evaluation.measure import Estimate, compare
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.statistics.permutation import family, max_t
from transfuse.evaluation.statistics.power import ALPHA, holm, needed_k, needed_n, shown_from
from transfuse.evaluation.statistics.resample import Interval
from transfuse.evaluation.tables import differences, meeting
from transfuse.types import CLEAN, Direction, Evidence, Status, Undefined


def status(low95: float, high95: float, low90: float, high90: float, margin: float, direction: Direction) -> Status:
    """What an interval of arm − versus shows at a margin, with the gain g on the side that `direction` calls better.

    `better` if the 95 % interval of g lies above the margin, `worse` if below −margin, `equivalent` if the 90 %
    interval lies within ± margin (never at margin 0), else `not shown`. Mirrored arms mirror.
    """
    if direction == "lower":
        low95, high95, low90, high90 = -high95, -low95, -high90, -low90
    if low95 > margin:
        return "better"
    if high95 < -margin:
        return "worse"
    if -margin < low90 and high90 < margin:
        return "equivalent"
    return "not shown"


def statuses(
    intervals: Sequence[Interval | Undefined], margin: float, direction: Direction, corrected: bool
) -> list[Status]:
    """The status of each comparison; `corrected` lets only those stand that survive Holm over the family.

    Under correction the tests behind the statuses are adjusted: the two-sided test against ± margin for `better` and
    `worse`, the two one-sided tests for `equivalent`. No interval: `not shown`, and p = 1 in the family.
    """
    known = [found if isinstance(found, Interval) else None for found in intervals]
    plain: list[Status] = [
        status(found.low, found.high, found.low90, found.high90, margin, direction) if found else "not shown"
        for found in known
    ]
    if not corrected:
        return plain
    beyond = holm([found.p(margin) if found else 1.0 for found in known])
    within = holm([found.p_within(margin) if found else 1.0 for found in known])
    adjusted = [within[row] if word == "equivalent" else beyond[row] for row, word in enumerate(plain)]
    return [word if p < ALPHA else "not shown" for word, p in zip(plain, adjusted, strict=True)]


def claimed(case: Case) -> list[str]:
    """The metrics of claims: the primary one, and accuracy beside it where it was asked for."""
    return [name for name in case.metrics if name in (case.task.metric, "accuracy")]


def evidence_id(quantity: str, arm: str, versus: str | None, split: str, condition: str = CLEAN) -> str:
    """Readable and stable, e.g. `log_loss:concat-vs-frozen/lite0:test:clean`."""
    return f"{quantity}:{arm}{f'-vs-{versus}' if versus else ''}:{split}:{condition}"


def comparison_rows(
    case: Case, couples: Sequence[tuple[str, str]], metric_name: str, corrected: bool
) -> list[Evidence]:
    """The paired differences of these couples in one metric, each with its status, margin and power in `provenance`."""
    rows = paired_rows(case, couples, metric_name, corrected)
    if not corrected:
        return rows
    family = f"{len(rows)} pairs in {metric_name}, Holm"
    adjusted = holm([1.0 if row.p is None else row.p for row in rows])
    together = _max_t(case, couples, find_metric(metric_name))
    return [
        replace(row, family=family, adjusted=None if row.p is None else level, provenance=row.provenance | more)
        for row, level, more in zip(rows, adjusted, together, strict=True)
    ]


def paired_rows(case: Case, couples: Sequence[tuple[str, str]], metric_name: str, corrected: bool) -> list[Evidence]:
    """`comparison_rows` without the p-values of a family.

    Under correction power is told at the strictest of Holm's levels, 5 % over the number of couples: otherwise a couple
    that the others keep from a claim would be told that it has rows enough.
    """
    metric, margin = find_metric(metric_name), case.margin_of(metric_name)
    estimates = [compare(case.tables[arm], case.tables[versus], metric) for arm, versus in couples]
    found = statuses([estimate.interval for estimate in estimates], margin, metric.direction, corrected)
    alpha = ALPHA / len(couples) if corrected else ALPHA
    return [
        _row(case, couple, metric, estimate, {"margin": margin, "status": word}, alpha)
        for couple, estimate, word in zip(couples, estimates, found, strict=True)
    ]


def _max_t(case: Case, couples: Sequence[tuple[str, str]], metric: Metric) -> list[dict[str, float]]:
    """p of each pair by max-T, which uses that pairs share arms and items: beside Holm's, never in its place.

    Of means over items whose arms share all runs; else nothing.
    """
    if not metric.item_mean or len({case.tables[name].runs for couple in couples for name in couple}) > 1:
        return [{} for _ in couples]
    known = case.tables[couples[0][0]].items
    gaps = []
    for arm, versus in couples:
        rows = meeting(known, case.tables[arm].items, f"'{arm}'")
        found = differences(case.tables[arm], case.tables[versus], metric)
        gaps.append(found if rows is None else found[:, rows])
    return [{"max_t": level} for level in max_t(family(gaps, known.groups, metric.size))]


def _row(
    case: Case,
    couple: tuple[str, str],
    metric: Metric,
    estimate: Estimate,
    provenance: dict[str, Any],
    alpha: float,
) -> Evidence:
    """One paired row, without the correction over its family; limits are clipped to what is possible."""
    (arm, versus), interval = couple, estimate.interval
    shared: dict[str, Any] = {"per_run": estimate.per_run, **provenance}
    row = Evidence(
        id=evidence_id(metric.name, arm, versus, case.split),
        arm=arm,
        versus=versus,
        quantity=metric.name,
        value=estimate.value,
        unit=metric.unit,
        direction=metric.direction,
        split=case.split,
        n=estimate.items,
        seeds=max(len(case.tables[arm].runs), len(case.tables[versus].runs)),
        pairing="item" if isinstance(interval, Interval) and interval.runs == 1 else "item and run",
        method=estimate.method,
        provenance=shared,
    )
    if isinstance(interval, Undefined):
        return row
    limits = {"low90": interval.low90, "high90": interval.high90}
    details = {name: metric.possible(end) for name, end in limits.items()} | power_of(
        interval, provenance["margin"], alpha
    )
    if interval.bca is not None:
        details["bca"] = [metric.possible(end) for end in interval.bca]
    if interval.units != interval.items:
        details["groups"] = interval.units
    return replace(
        row,
        low=metric.possible(interval.low),
        high=metric.possible(interval.high),
        level=0.95,
        p=interval.p(),
        seeds=interval.runs,
        provenance=shared | details,
    )


def power_of(interval: Interval, margin: float, alpha: float = ALPHA) -> dict[str, Any]:
    """What this comparison could have found, and about how many items or runs would settle it at the difference seen.

    Settling means that the detectable effect shrinks to the distance between the difference and the margin.
    """
    if interval.se == 0.0:
        return {"detectable_effect": 0.0}
    gap = abs(abs(interval.mean) - margin)
    items, runs = needed_n(interval, gap, alpha=alpha), needed_k(interval, gap, alpha=alpha)
    return {
        "detectable_effect": shown_from(interval, alpha=alpha),
        "settling_items": None if isinstance(items, Undefined) else items,
        "settling_runs": None if isinstance(runs, Undefined) else runs,
    }
