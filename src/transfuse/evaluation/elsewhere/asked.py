"""What a judge is asked for: the kind of task and its metrics; without it errors would come after the work.

Who forgets to say the kind is told which one the labels and scores look like; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from transfuse import registry
from transfuse.errors import UserError
from transfuse.evaluation.metric import SHELF
from transfuse.evaluation.metric import metric as find_metric
from transfuse.kinds import kind_of
from transfuse.types import Task

ANSWERS = (
    "answers alone are judged as scores of items (item,candidate,score with 1 for right and 0 for wrong, no --labels)"
)


class Asked(TypedDict, total=False):
    """The words of a recipe's `task:`, and `metrics`: functions of your own by name.

    `kind` is multiclass, multilabel or regression; `metric` decides, those in `also` stand beside it. A function is
    called as `function(targets, scores)` and gives one number; it declares `function.direction = "lower"` or
    `"higher"`, or stands here as `(function, "lower")`. `classes` maps predictions' own classes to the labels': {own:
    target}, a CSV `own,target`, or one of these for each name.
    """

    kind: str
    metric: str
    also: Sequence[str]
    metrics: Mapping[str, Any]
    classes: Any


def task_of(asked: Asked, classes: Sequence[str]) -> Task:
    """The task, with the kind's own metrics where none are named; functions given by name are judged too.

    Raises: `UserError` for unknown kinds and metrics, and for metrics of another kind of task.
    """
    kind = kind_of(asked.get("kind", "multiclass"), where="kind")
    metric = asked.get("metric", kind.metric)
    also = [*asked.get("also", kind.also), *asked.get("metrics", {})]
    check_metrics([metric, *also], kind.name)
    return Task(kind.name, tuple(classes), metric, tuple(dict.fromkeys(name for name in also if name != metric)))


def check_metrics(names: Iterable[str], kind: str) -> None:
    """Refuse metrics that do not hold for this kind of task, with those that do."""
    for name in names:
        found = find_metric(name)
        if kind not in found.kinds:
            fitting = [each.name for each in registry.shelf(SHELF).values() if kind in registry.kinds_of(each)]
            raise UserError(
                f"the metric '{name}' does not hold for a {kind} task", expected="one of " + ", ".join(fitting)
            )


def other_kind(kind: str, when: str) -> str:
    """A hint at another kind of task, as the command line and Python spell it."""
    return f"--task {kind} (in Python kind='{kind}') {when}"


def kind_shown(columns: Iterable[Iterable[Any]]) -> str | None:
    """A hint at the kind of task that columns of labels show where classes were asked for; None: they show none."""
    held = [list(column) for column in columns]
    try:
        values = np.array(held, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if not values.size:
        return None
    if not np.isin(values, (0, 1)).all():
        return other_kind("regression", "where these are numbers to be predicted")
    hint = other_kind("multilabel", "where these are labels that may hold together")
    return hint + ("; one label an item where one holds always" if (values.sum(axis=0) == 1).all() else "")


def column_alone(name: str, cells: Sequence[str]) -> str:
    """What to give instead of one column where classes have one each: for a chance, a number, or answers in words."""
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        return ANSWERS
    if ((values >= 0.0) & (values <= 1.0)).all():
        return f"two classes have a column each, called as the labels are: where '{name}' is p, the other is 1 − p"
    return other_kind("regression", "where numbers are to be judged")
