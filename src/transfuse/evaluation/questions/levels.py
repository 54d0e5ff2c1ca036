"""How good is each judged arm alone? Without levels, differences float in the air."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transfuse.evaluation.case import Case
from transfuse.evaluation.measure import level
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
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
    quantity = Quantity(metric.name, metric.unit, metric.direction, metric.low, metric.high)
    about: dict[str, Any] = {"per_run": estimate.per_run} | ({"note": estimate.note} if estimate.note else {})
    if isinstance(estimate.interval, Interval) and estimate.interval.bca is not None:
        about["bca"] = list(estimate.interval.bca)
    row = evidence(quantity, Subject(table.arm, None, case.split), Measured.of(estimate), about)
    # A run in which the metric does not exist was judged too.
    return replace(row, seeds=len(table.runs))
