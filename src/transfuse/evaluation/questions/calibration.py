"""What did the temperature change? Without it, a gain in log-loss may only be a cure of overconfidence."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from transfuse.evaluation.case import Case
from transfuse.evaluation.claims import evidence_id
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.metrics.log_loss import FLOOR
from transfuse.evaluation.tables import Table
from transfuse.types import Evidence, checked

ORDER = 40
BEFORE = ("log_loss", "ece")


def ask(case: Case) -> list[Evidence]:
    """Each judged arm's temperature, and its log-loss and calibration error as they were before it.

    Above 1 the arm was overconfident, below 1 too timid. Arms that came without temperatures are left out. The scores
    before are recovered as softmax(T · log p), exact down to the probability floor of 1e-15.
    """
    return [row for arm in case.arms for row in _rows(case, case.tables.get(arm.name))]


def _rows(case: Case, table: Table | None) -> list[Evidence]:
    if table is None or table.temperatures is None:
        return []
    used = np.asarray(table.temperatures, dtype=np.float64).reshape(len(table.runs), -1)
    raw = np.exp(log_softmax(used[:, :, None] * np.log(np.maximum(table.probs, FLOOR)), axis=2))
    means = dict(zip(table.runs, (float(mean) for mean in used.mean(axis=1)), strict=True))
    rows = [
        _row(case, table, "temperature", "ratio", means, "mean over runs; fitted on rows apart from the judged ones")
    ]
    for name in BEFORE:
        metric = find_metric(name)
        values = metric.values(np.asarray(table.items.targets), raw)
        per_run = dict(zip(table.runs, (float(value) for value in values), strict=True))
        rows.append(
            _row(case, table, f"{name}_uncalibrated", metric.unit, per_run, "before the temperature; mean over runs")
        )
    return rows


def _row(case: Case, table: Table, quantity: str, unit: str, per_run: dict[str, float], method: str) -> Evidence:
    return Evidence(
        id=evidence_id(quantity, table.arm, None, case.split),
        arm=table.arm,
        quantity=quantity,
        value=checked(float(np.mean(list(per_run.values()))), "not finite"),
        unit=unit,
        direction="lower",
        split=case.split,
        n=len(table.items),
        seeds=len(table.runs),
        method=method,
        provenance={"per_run": per_run},
    )
