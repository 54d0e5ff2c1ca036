"""What does an arm lose by being made smaller, and what is left of it? Without it small models would be trusted."""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import classifies, joined
from transfuse.evaluation.measure import compare
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, mean_of_items
from transfuse.evaluation.statistics.resample import Interval
from transfuse.types import Evidence

ORDER = 56
CITATION = "Wellek, Testing Statistical Hypotheses of Equivalence and Noninferiority, 2010"
FAMILY = "compress/"
NOT_WORSE = Quantity("non_inferior", "1 = shown", "higher", 0.0, 1.0)
AGREES = Quantity("same_answer", "share", "higher", 0.0, 1.0)
LEFT = {
    "stored_bytes": Quantity("bytes_left", "share", "lower", 0.0),
    "inference_flops": Quantity("flops_left", "share", "lower", 0.0),
    "parameters": Quantity("parameters_left", "share", "lower", 0.0),
}


def ask(case: Case) -> list[Evidence]:
    """For each compressed arm, against the arm that its chain of compressions began with: whether it is shown to be no
    worse than by the margin (the 95 % interval of its gain lies above -margin) in every metric that was asked for, how
    often both give the same answer, and which share of bytes, FLOPs and parameters is left.
    """
    rows: list[Evidence] = []
    for name, whole in compressed(case):
        rows += [_not_worse(case, name, whole, each) for each in case.metrics if find_metric(each).item_mean]
        rows += [_same(case, name, whole)] if classifies(case) else []
        rows += _left(case, name, whole)
    return rows


def compressed(case: Case) -> list[tuple[str, str]]:
    """Judged compressed arms, each with the judged arm that it was made of in the end."""
    arms, found = {arm.name: arm for arm in case.arms}, []
    for arm in case.arms:
        whole = arm
        while whole is not None and whole.method.startswith(FAMILY):
            whole = arms.get(whole.members[0]) if len(whole.members) == 1 else None
        if whole is not None and whole is not arm and {arm.name, whole.name} <= case.tables.keys():
            found.append((arm.name, whole.name))
    return found


def _not_worse(case: Case, name: str, whole: str, metric_name: str) -> Evidence:
    metric, margin = find_metric(metric_name), case.margin_of(metric_name)
    subject = Subject(name, whole, case.split, detail=metric_name)
    found = compare(case.tables[name], case.tables[whole], metric).interval
    about = {"metric": metric_name, "margin": margin}
    if not isinstance(found, Interval):
        return evidence(NOT_WORSE, subject, Measured.not_there(found.reason, len(case.items)), about)
    least = -found.high if metric.direction == "lower" else found.low
    method = "1 where the 95 % interval of the difference lies on the good side of the margin"
    shown = Measured(float(least > -margin), found.items, method=method)
    return evidence(NOT_WORSE, subject, shown, about | {"low": found.low, "high": found.high})


def _same(case: Case, name: str, whole: str) -> Evidence:
    """How often both put the same class first."""
    both = joined([case.tables[name], case.tables[whole]])
    first, second = (probs.argmax(axis=2) for probs in both.probs)
    agreed = (first == second).astype(np.float64)
    found = mean_of_items(agreed, both.runs, both.items.groups, "items with the same class first")
    return evidence(AGREES, Subject(name, whole, case.split), found.without_p())


def _left(case: Case, name: str, whole: str) -> list[Evidence]:
    own, before = case.arm(name).cost, case.arm(whole).cost
    rows = []
    for count, quantity in LEFT.items() if own is not None and before is not None else ():
        small, large = getattr(own, count), getattr(before, count)
        if small is not None and large:
            found = Measured(float(small) / float(large), method="counted, not timed")
            rows.append(evidence(quantity, Subject(name, whole, "none"), found))
    return rows
