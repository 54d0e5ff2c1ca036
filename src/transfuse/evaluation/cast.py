"""Who plays which part in a case: without it each question would read roles out of names in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from transfuse.errors import UserError
from transfuse.evaluation.case import ELSEWHERE, PRIOR, Case
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.recommend import badness
from transfuse.evaluation.tables import Table, pair
from transfuse.evaluation.words import CHOSEN_IN_FOLDS
from transfuse.kinds import kind_of
from transfuse.types import ItemTable

ENSEMBLE = "ensemble"
SOLO = ("frozen/", "tuned/")
MOST_SINGLES = 10


def classifies(case: Case) -> bool:
    """Whether answers are probabilities of classes that exclude each other."""
    return case.task.kind == "multiclass" and find_metric(case.task.metric).takes != "scores"


def answers_labels(case: Case) -> bool:
    """Whether answers are probabilities of labels that may hold together."""
    return case.task.kind == "multilabel" and judges_columns(case)


def answers(case: Case) -> bool:
    """Whether there are answers that can be right or wrong: of classes, or of labels."""
    return classifies(case) or answers_labels(case)


def answers_numbers(case: Case) -> bool:
    """Whether answers are numbers of a regression."""
    return case.task.kind == "regression" and judges_columns(case)


def told(case: Case, what: str, *, labels: str = "", numbers: str = "", scores: str = "") -> dict[str, str]:
    """Why something is not asked of this kind of task: `{what: why}`, nothing where no reason is given for it."""
    if classifies(case):
        return {}
    why = labels if answers_labels(case) else numbers if answers_numbers(case) else scores
    return {what: why} if why else {}


def judges_columns(case: Case) -> bool:
    """Whether score columns are questions of their own: labels of a multilabel task, targets of a regression."""
    metric = find_metric(case.task.metric)
    return case.task.kind != "multiclass" and metric.takes != "scores" and np.ndim(case.items.targets) == 2


def item_metric(case: Case) -> Metric | None:
    """The primary metric where it is a mean over items, else the default loss of the kind, else None."""
    primary = find_metric(case.task.metric)
    if primary.item_mean:
        return primary
    usual = classifies(case) or judges_columns(case)
    return find_metric(kind_of(case.task.kind).metric) if usual else None


def chief(case: Case) -> tuple[str, ...]:
    """The arms that are looked at in depth: the winner, the best single and the ensemble, where they are judged.

    Of predictions from elsewhere, which have no ladder, also the others, at most 10 in all, the best first.
    """
    found = dict.fromkeys((case.winner, case.best_single, ENSEMBLE))
    if case.protocol == ELSEWHERE:
        others = sorted((name for name in case.tables if name in case.selection), key=lambda name: badness(case, name))
        found = dict.fromkeys([*found, *others][:MOST_SINGLES])
    return tuple(name for name in found if name in case.tables)


def singles(case: Case) -> tuple[str, ...]:
    """The judged single models: frozen and tuned ones, or all that are single where none is called so.

    At most 10, the best on the selection rows; in the order of their names.
    """
    named = [arm.name for arm in case.arms if arm.name.startswith(SOLO)]
    known = named or [
        arm.name for arm in case.arms if arm.form == "single" and arm.role != "control" and arm.name != PRIOR
    ]
    judged = [name for name in known if name in case.tables and name in case.selection]
    best = sorted(judged, key=lambda name: (badness(case, name), name))[:MOST_SINGLES]
    return tuple(sorted(best))


def other_singles(case: Case, arm: str) -> tuple[str, ...]:
    """The judged single models that `arm` might be worse than although it beats the best single: all others of the
    ladder. None of predictions from elsewhere, where what was asked for is all.
    """
    if case.protocol == ELSEWHERE:
        return ()
    return tuple(
        each.name
        for each in case.arms
        if each.role == "baseline"
        and each.name not in (arm, case.best_single, PRIOR)
        and each.name in case.tables
        and stands_alone(case, each.name)
    )


def stands_alone(case: Case, name: str) -> bool:
    """Whether an arm is a single model; what each fold chose anew may be another form in each, except the best
    single."""
    arm = case.arm(name)
    return name == case.best_single or (arm.form == "single" and arm.method != CHOSEN_IN_FOLDS)


def ensemble_members(case: Case) -> tuple[str, ...]:
    """The judged arms whose answers the ensemble averages; without one, the judged singles."""
    arms = {arm.name: arm for arm in case.arms}
    members = arms[ENSEMBLE].members if ENSEMBLE in arms else ()
    judged = tuple(dict.fromkeys(name for name in members if name in case.tables))
    return tuple(sorted(judged))[:MOST_SINGLES] if len(judged) > 1 else singles(case)


@dataclass(frozen=True)
class Joined:
    """Several tables on the same items and runs: probabilities [k, N, C] each."""

    items: ItemTable
    probs: tuple[np.ndarray, ...]
    runs: tuple[str, ...]

    @property
    def targets(self) -> np.ndarray:
        return np.asarray(self.items.targets)


def joined(tables: Sequence[Table]) -> Joined:
    """Tables joined by item id and run name; one run meets every run of the others. Raises: `UserError` as `pair`."""
    first = max(tables, key=lambda each: len(each.runs))
    pairs = [pair(first, each) for each in tables]
    runs = tuple(run for run in first.runs if all(run in each.runs for each in pairs))
    if not runs:
        raise UserError("these arms share no run", got=", ".join(each.arm for each in tables))
    probs = tuple(each.second[[each.runs.index(run) for run in runs]] for each in pairs)
    return Joined(first.items, probs, runs)


def restricted(table: Table, rows: np.ndarray, *, grouped: bool = True) -> Table:
    """The table of some of its rows [n], without folds, which parts may lack; `grouped` keeps the items' groups."""
    items, places = table.items, rows.tolist()
    groups = tuple(items.groups[row] for row in places) if items.groups is not None and grouped else None
    kept = ItemTable(tuple(items.ids[row] for row in places), np.asarray(items.targets)[rows], groups)
    return replace(
        table,
        items=kept,
        probs=table.probs[:, rows],
        given=None if table.given is None else table.given[:, rows],
        temperatures=None,
        logits=None,
        folds=None,
    )


def column(table: Table, number: int) -> Table:
    """The table of one label or target alone."""
    only = slice(number, number + 1)
    items = replace(table.items, targets=np.asarray(table.items.targets)[:, only])
    given = None if table.given is None else table.given[..., only]
    return replace(table, items=items, probs=table.probs[..., only], given=given, temperatures=None, logits=None)


def class_name(case: Case, number: int) -> str:
    """The name of a class, or its number where classes have no names."""
    return case.task.classes[number] if number < len(case.task.classes) else str(number)
