"""Can probabilities be taken at their word? Without it, a gain in log-loss may only be a cure of overconfidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import expit, log_softmax, logit

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import answers_labels, class_name, classifies, told
from transfuse.evaluation.claims import evidence_id
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import by_run, figures
from transfuse.evaluation.statistics.reliability import adaptive_error, reliability_bins
from transfuse.evaluation.tables import Table
from transfuse.kinds import LEAST_PROBABILITY
from transfuse.types import Evidence, checked

ORDER = 40
CITATION = "Guo et al., ICML 2017; Kumar, Liang, Ma, NeurIPS 2019 (debiased); Nixon et al., 2019 (equal mass)"
BEFORE = {"multiclass": ("log_loss", "ece"), "multilabel": ("binary_log_loss", "label_ece")}
DEBIASED = "ece_debiased"
MOST_LABELS = 100


def ask(case: Case) -> list[Evidence]:
    """Each judged arm's temperature, and its log-loss and calibration error as they were before it.

    Above 1 the arm was overconfident, below 1 too timid. Arms that came without temperatures are left out. The scores
    before are recovered as softmax(T · log p), exact down to the probability floor of 1e-15. Of every judged arm that
    classifies, as judged: the calibration error without what chance adds, that over bins of equal mass, and the bins of
    a reliability diagram. Of labels: the calibration error of each, and the bins of all of them together.
    """
    known = [case.tables[arm.name] for arm in case.arms if arm.name in case.tables]
    rows = [row for table in known for row in _rows(case, table)]
    if answers_labels(case):
        return rows + [row for table in known for row in _of_labels(case, table)]
    return rows + ([row for table in known for row in _as_judged(case, table)] if classifies(case) else [])


def silent(case: Case) -> dict[str, str]:
    """Numbers state no chance of being right."""
    why = "numbers come without a chance of being right that could be checked"
    return told(case, "calibration", numbers=why, scores=why)


def _rows(case: Case, table: Table) -> list[Evidence]:
    if table.temperatures is None:
        return []
    used = np.asarray(table.temperatures, dtype=np.float64).reshape(len(table.runs), -1)
    raw = _before(table, used[:, :, None], labels=answers_labels(case))
    means = by_run(table.runs, used.mean(axis=1))
    rows = [
        _row(case, table, "temperature", "ratio", means, "mean over runs; fitted on rows apart from the judged ones")
    ]
    for name in BEFORE.get(case.task.kind, ()):
        metric = find_metric(name)
        per_run = by_run(table.runs, metric.values(np.asarray(table.items.targets), raw))
        rows.append(
            _row(case, table, f"{name}_uncalibrated", metric.unit, per_run, "before the temperature; mean over runs")
        )
    return rows


def _before(table: Table, used: np.ndarray, *, labels: bool) -> np.ndarray:
    """Probabilities before the temperature: softmax(T · log p), or sigmoid(T · logit p) of each label. [k, N, C]."""
    if labels:
        return expit(used * logit(np.clip(table.probs, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)))
    return np.exp(log_softmax(used * np.log(np.maximum(table.probs, LEAST_PROBABILITY)), axis=2))


def _of_labels(case: Case, table: Table) -> list[Evidence]:
    """Calibration error of each label (the first 100), and the reliability bins of all labels and runs together."""
    targets, rows = np.asarray(table.items.targets), []
    metric = find_metric("label_ece")
    for number in range(min(table.probs.shape[2], MOST_LABELS)):
        name = class_name(case, number)
        only = slice(number, number + 1)
        per_run = by_run(table.runs, metric.values(targets[:, only], table.probs[..., only]))
        row = _row(case, table, "ece_by_label", "share", per_run, "15 equal-width bins of the label's probability")
        rows.append(replace(row, id=f"{row.id}:{name}", provenance=row.provenance | {"label": name}))
    true = np.broadcast_to(targets, table.probs.shape).astype(np.float64)
    bins = [[*figures(each[:4]), each[4]] for each in reliability_bins(table.probs.ravel(), true.ravel())]
    per_run = by_run(table.runs, metric.values(targets, table.probs))
    row = _row(case, table, "reliability", "share", per_run, "15 equal-width bins over all labels and runs")
    return [*rows, replace(row, provenance=row.provenance | {"bins": bins})]


def _as_judged(case: Case, table: Table) -> list[Evidence]:
    """Debiased and equal-mass calibration error, and the reliability bins of all runs together."""
    targets = np.asarray(table.items.targets)
    sure, right = table.probs.max(axis=2), (table.probs.argmax(axis=2) == targets).astype(np.float64)
    rows = []
    if DEBIASED not in case.metrics:
        values = find_metric(DEBIASED).values(targets, table.probs)
        rows.append(_row(case, table, DEBIASED, "share", by_run(table.runs, values), "15 equal-width bins, debiased"))
    values = np.array([adaptive_error(*run) for run in zip(sure, right, strict=True)])
    rows.append(_row(case, table, "ece_adaptive", "share", by_run(table.runs, values), "15 bins of equal mass"))
    bins = [[*figures(each[:4]), each[4]] for each in reliability_bins(sure.ravel(), right.ravel())]
    values = find_metric("ece").values(targets, table.probs)
    row = _row(case, table, "reliability", "share", by_run(table.runs, values), "15 equal-width bins over all runs")
    return [*rows, replace(row, provenance=row.provenance | {"bins": bins})]


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
