"""What answering without looking is worth: without it predictions of labels that mean nothing would pass as a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from transfuse.evaluation import temperature
from transfuse.evaluation.case import ELSEWHERE, PRIOR, Case
from transfuse.evaluation.cast import answers, answers_numbers
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.recommend import shown_better
from transfuse.evaluation.rows import Subject
from transfuse.evaluation.tables import Table
from transfuse.types import Arm, Evidence, TaskKind

FOLDS = 5


def answer(targets: np.ndarray, kind: TaskKind, classes: int) -> np.ndarray:
    """What is answered for every item [C], from targets [N] or [N, C] of rows apart: the mean of each target, or
    frequencies with one pseudo-count a class (a label that holds or not), so that none is impossible."""
    if kind == "regression":
        return targets.mean(axis=0)
    if kind == "multilabel":
        return (targets.sum(axis=0) + 1.0) / (len(targets) + 2.0)
    counts = np.bincount(targets, minlength=classes) + 1.0
    return counts / counts.sum()


def with_prior(case: Case) -> Case | None:
    """The case with a judged prior: its own; of predictions from elsewhere, whose training rows nobody knows, one from
    the judged rows: in each of five folds by item (or group) what the others answer.

    None where there is none, and from elsewhere for metrics that are no means over items: to those answers that differ
    from fold to fold say something, and against the truth.
    """
    if PRIOR in case.tables or case.protocol != ELSEWHERE:
        return case if PRIOR in case.tables else None
    if not (find_metric(case.task.metric).item_mean and (answers(case) or answers_numbers(case))):
        return None
    targets, columns = np.asarray(case.items.targets), next(iter(case.tables.values())).probs.shape[2]
    fold = temperature.folds_of(list(case.items.groups or case.items.ids), FOLDS)
    found = np.empty((1, len(targets), columns))
    for number in np.unique(fold).tolist():
        others = fold != number
        found[0, ~others] = answer(targets[others] if others.any() else targets, case.task.kind, columns)
    arm = Arm(PRIOR, "baseline", (), PRIOR, "none", "single")
    tables = {**case.tables, PRIOR: Table(PRIOR, case.items, found, ("all",))}
    return replace(case, arms=(*case.arms, arm), tables=tables)


def against(case: Case, rows: Mapping[str, Evidence], arm: str) -> Evidence | None:
    """The row of an arm against the prior in the primary metric, where there is one with an interval."""
    row = rows.get(Subject(arm, PRIOR, case.split).id(case.task.metric))
    return row if row is not None and row.low is not None else None


def knows_no_more(case: Case, rows: Mapping[str, Evidence], arm: str) -> bool:
    """Whether no gain of an arm over the prior is shown, however small: a margin is no matter here."""
    row = against(case, rows, arm)
    return row is not None and not shown_better(row)
