"""How good is each judged arm alone? Without levels, differences float in the air."""

from __future__ import annotations

from typing import Any

from transfuse.evaluation.case import Case
from transfuse.evaluation.claims import evidence_id
from transfuse.evaluation.measure import level
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.statistics.resample import Interval
from transfuse.evaluation.tables import Table
from transfuse.types import Evidence

ORDER = 10


def ask(case: Case) -> list[Evidence]:
    """Every metric of every judged arm, mean over runs, with 95 % intervals clipped to what is possible."""
    return [
        _row(case, case.tables[arm.name], find_metric(name))
        for arm in case.arms
        if arm.name in case.tables
        for name in case.metrics
    ]


def _row(case: Case, table: Table, metric: Metric) -> Evidence:
    estimate = level(table, metric)
    found = estimate.interval if isinstance(estimate.interval, Interval) else None
    low, high = (None, None) if found is None else (found.low, found.high)
    if low is not None and metric.low is not None:
        low = max(low, metric.low)
    if high is not None and metric.high is not None:
        high = min(high, metric.high)
    provenance: dict[str, Any] = {"per_run": estimate.per_run} | ({"note": estimate.note} if estimate.note else {})
    if found is not None and found.bca is not None:
        provenance["bca"] = list(found.bca)
    return Evidence(
        id=evidence_id(metric.name, table.arm, None, case.split),
        arm=table.arm,
        quantity=metric.name,
        value=estimate.value,
        unit=metric.unit,
        direction=metric.direction,
        split=case.split,
        low=low,
        high=high,
        level=0.95 if found else None,
        n=estimate.items,
        seeds=len(table.runs),
        method=estimate.method,
        provenance=provenance,
    )
