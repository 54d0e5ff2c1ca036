"""What a judge is asked for: the kind of task and its metrics; without it errors would come after the work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from transfuse import registry
from transfuse.errors import UserError
from transfuse.evaluation.metric import SHELF
from transfuse.evaluation.metric import metric as find_metric
from transfuse.kinds import kind_of
from transfuse.types import Task


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
