"""The verb `evaluate`, from anybody's predictions to a judgement; without it the judge serves our own models only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Unpack

import numpy as np

from transfuse.errors import UserError, unknown_name
from transfuse.evaluation.case import ELSEWHERE, Case, MarginRule
from transfuse.evaluation.elsewhere import columns
from transfuse.evaluation.elsewhere.asked import Asked, task_of
from transfuse.evaluation.elsewhere.columns import read_truth
from transfuse.evaluation.elsewhere.files import Labels, Scores, read_labels, read_predictions
from transfuse.evaluation.elsewhere.frames import labels_of, predictions_of
from transfuse.evaluation.elsewhere.item_scores import item_scores
from transfuse.evaluation.elsewhere.join import class_names, items_of, known_scale, table_of, with_groups
from transfuse.evaluation.elsewhere.rounded import note
from transfuse.evaluation.elsewhere.unions import aligned, mappings, told, union
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.metric import metrics_from
from transfuse.evaluation.tables import Table
from transfuse.evaluation.verdict import Judgement, judge
from transfuse.kinds import kind_of
from transfuse.labels import Alignment, Mapped
from transfuse.types import Arm, Direction, ItemTable, Scale, Task, TaskKind

JUDGED, SELECTION = "test", "val"
BY_ORDER = "its rows name no items, so they were taken in the order of the labels"
ON_JUDGED = "the judged rows themselves, which flatters the best"


@dataclass(frozen=True)
class Question:
    """Who is compared with whom: one candidate against some, or, with neither, every pair."""

    candidate: str | None
    versus: tuple[str, ...]

    def check(self, names: Sequence[str]) -> None:
        """Refuse names that do not exist, and a list of opponents without a candidate."""
        if not names:
            raise UserError("there are no predictions to judge")
        for name in (*self.versus, *([self.candidate] if self.candidate is not None else [])):
            if name not in names:
                raise unknown_name("predictions", name, names)
        if self.versus and self.candidate is None:
            raise UserError("'versus' needs a candidate to compare with")
        if self.candidate in self.versus:
            raise UserError(f"'{self.candidate}' cannot be compared with itself")


def evaluate(  # noqa: PLR0913 - the settings of a verb are its parameters
    predictions: Any,
    labels: Any = None,
    *,
    candidate: str | None = None,
    versus: str | Sequence[str] | None = None,
    groups: Any = None,
    margin: str | float = "auto",
    scale: Scale | None = None,
    direction: Direction = "higher",
    pools: Mapping[str, Mapping[str, Any]] | None = None,
    **asked: Unpack[Asked],
) -> Judgement:
    """Judge predictions from elsewhere, without any model.

    `predictions`: {name: CSV, npz or npy file, array [N, C] or [k, N, C], or mapping of arrays}; `labels`: CSV, array
    [N], or mapping of columns. They are joined by item id, and each arm's temperature is cross-fitted over 5 folds by
    id. Where labels have a split column, `test` rows are judged and `val` rows serve the choice; otherwise all rows do
    both, and the recommendation says so. By default every pair is compared, corrected by Holm; `candidate` and `versus`
    name a few, each at its own level.

    Without labels, `predictions` are per-item scores of anything: a CSV `item,candidate,score`, or {name: array [N] or
    [k, N]}; `direction` says which mean score is better, and `groups` is a mapping {item: group} or a list in item
    order.

    `kind="multilabel"`: `labels` have one column a label, 0 or 1, called as the predictions' columns are (CSV
    `item,LABEL,LABEL[,group][,split]`, or an array [N, C]); predictions are logits or probabilities of each label.
    `kind="regression"`: the columns are numbers, one or several targets (or an array [N]), and predictions are numbers
    too, without scale and temperature. The words of `Asked` are taken too. Predictions of classes may know different
    ones: they are judged over their union (`unions.py`). `pools` are, by name, the fields of an `Arm` made of others.
    """
    unknown = [name for name in asked if name not in Asked.__annotations__]
    if unknown:
        raise unknown_name("setting", unknown[0], [*Asked.__annotations__, "candidate", "versus", "groups", "margin"])
    opponents = (versus,) if isinstance(versus, str) else tuple(versus or ())
    question, rule = Question(candidate, opponents), MarginRule(margin)
    if labels is None:
        _refuse_idle({"scale": scale, **asked}, "without labels, predictions are per-item scores")
        return _judge_scores(predictions, question, rule, groups, direction)
    _refuse_idle({"direction": None if direction == "higher" else direction}, "with labels, the metric decides")
    if not isinstance(predictions, Mapping):
        raise UserError("predictions come by name", expected="{name: file or array}", got=type(predictions).__name__)
    question.check([str(name) for name in predictions])
    with metrics_from(given=asked.get("metrics")):
        kind = task_of(asked, ()).kind
        read, known = _read(predictions, labels, groups, kind, asked.get("classes"))
        splits = _splits(known.labels)

        def tables_of(split: str | None) -> dict[str, Table]:
            items = known.items(split)
            return {
                each.name: table_of(each, known.labels, items, known.classes, scale, kind, known.found.get(each.name))
                for each in read
            }

        tables = tables_of(JUDGED if splits else None)
        chosen_on = tables_of(SELECTION) if SELECTION in splits else tables
        case = _case(task_of(asked, known.classes), tables, chosen_on, question, rule)
        arms = (replace(arm, **(pools or {}).get(arm.name, {})) for arm in case.arms)
        return judge(replace(case, arms=tuple(_noted(arm, read, known, scale, kind) for arm in arms)))


def _noted(arm: Arm, read: Sequence[Scores], known: Known, scale: Scale | None, kind: TaskKind) -> Arm:
    """The arm with what its file had to be asked of: classes it does not know, rounded numbers, rows without names."""
    (own,) = (each for each in read if each.name == arm.name)
    rounded = note(own.scores, own.half) if known_scale(own, scale, kind) == "probability" else ()
    named = known.labels.ids != tuple(str(row) for row in range(len(known.labels.ids)))
    order = (BY_ORDER,) if own.ids is None and named else ()
    return replace(arm, notes=told(known.found.get(own.name)) + rounded + order)


def _refuse_idle(settings: Mapping[str, Any], why: str) -> None:
    """Refuse settings that would change nothing."""
    idle = [name for name, given in settings.items() if given is not None]
    if idle:
        raise UserError(why, got=f"{', '.join(idle)}, which would change nothing", hint="leave it out")


def _splits(labels: Labels) -> set[str]:
    splits = set(labels.splits or ())
    if splits and JUDGED not in splits:
        got = f"splits {', '.join(sorted(splits))}"
        raise UserError(f"no item is in the split '{JUDGED}'", where="labels", got=got)
    return splits


@dataclass(frozen=True)
class Known:
    """Labels with their groups, the names of the score columns, and the items of a split (None: all).

    `found` says where the columns of predictions go that do not know all classes by these names.
    """

    labels: Labels
    classes: tuple[str, ...]
    items: Callable[[str | None], ItemTable]
    found: Mapping[str, Alignment | None] = field(default_factory=dict)


def _read(predictions: Any, labels: Any, groups: Any, kind: TaskKind, classes: Any) -> tuple[list[Scores], Known]:
    """Predictions as they are, and what labels and they say together."""
    read = [read_predictions(str(name), predictions_of(source), kind) for name, source in predictions.items()]
    return read, _known(labels_of(labels, kind), groups, read, kind, mappings(classes, [each.name for each in read]))


def read_all(
    predictions: Mapping[str, Any], labels: Any, settings: Mapping[str, Any]
) -> tuple[Known, dict[str, Table]]:
    """Predictions of classes as `evaluate` reads them: tables over all labelled items, by name; no temperature yet."""
    Question(None, ()).check([*predictions])
    read, known = _read(predictions, labels, settings.get("groups"), "multiclass", settings.get("classes"))
    items, scale = known.items(None), settings.get("scale")
    tables = {
        each.name: table_of(
            each, known.labels, items, known.classes, scale, found=known.found.get(each.name), calibrated=False
        )
        for each in read
    }
    return known, tables


def _known(labels: Any, groups: Any, read: Sequence[Scores], kind: TaskKind, mapped: Mapping[str, Mapped]) -> Known:
    if kind == "multiclass":
        held = with_groups(read_labels(labels), groups)
        classes = class_names(read, union=lambda named: union(named, held.labels, mapped))
        found = {each.name: aligned(each, classes, mapped) for each in read}
        return Known(held, classes, lambda split: items_of(held, classes, split), found)
    if mapped:
        raise UserError("classes are mapped for tasks of classes only", got=f"a {kind} task")
    truth = read_truth(labels, kind)
    truth = replace(truth, labels=with_groups(truth.labels, groups))
    classes = class_names(read, kind)
    if len(classes) == 1 and truth.names is not None and len(truth.names) == 1:
        classes = truth.names
    if truth.names is not None and not any(each.classes for each in read) and len(truth.names) == len(classes):
        classes = truth.names
    return Known(truth.labels, classes, lambda split: columns.items_of(truth, classes, split))


def set_up(judgement: Judgement, *, version: str) -> dict[str, Any]:
    """The `setup` of a record of predictions from elsewhere: what was judged, and by which rules."""
    case = judgement.case
    runs = dict.fromkeys(run for table in case.tables.values() for run in table.runs)
    return {
        "title": "Predictions compared",
        "task": {
            "kind": case.task.kind,
            "classes": list(case.task.classes),
            "metric": case.task.metric,
            "also": list(case.task.also),
        },
        "data": {
            "source": "predictions from elsewhere",
            "items": len(case.items),
            kind_of(case.task.kind).columns: len(case.task.classes) or None,
            "judged": len(case.items),
            "notes": [
                f"what to ship was chosen on {case.selected_on}",
                *(f"{arm.name}: {note}" for arm in case.arms for note in arm.notes),
            ],
        },
        "protocol": case.protocol,
        "runs": list(runs),
        "margin": {"rule": case.margin.rule, "value": judgement.margin, "metric": case.task.metric},
        "version": version,
    }


def _case(
    task: Task, tables: Mapping[str, Table], chosen_on: Mapping[str, Table], question: Question, rule: MarginRule
) -> Case:
    """The case of these tables: what is best, and who meets whom."""
    primary = find_metric(task.metric)
    selection = {
        name: float(primary.values(np.asarray(table.items.targets), table.read_by(primary).probs).mean())
        for name, table in chosen_on.items()
    }
    ranked = sorted(selection, key=lambda name: (selection[name] * (1 if primary.direction == "lower" else -1), name))
    winner, best_single = question.candidate or ranked[0], ranked[min(1, len(ranked) - 1)]
    couples = tuple(combinations(ranked, 2))
    if question.candidate is not None:
        # The best of the others comes first: what it says of the candidate decides.
        asked = question.versus or tuple(tables)
        others = [name for name in ranked if name in asked and name != question.candidate]
        couples = tuple((question.candidate, name) for name in others)
        best_single = next(iter(others), winner)
    sign = 1.0 if primary.direction == "lower" else -1.0
    losses = {
        name: sign * primary.run_columns(np.asarray(table.items.targets), table.probs)[..., 0].mean(axis=0)
        for name, table in chosen_on.items()
        if primary.item_mean
    }
    arms = tuple(
        Arm(
            name=name,
            role="candidate" if question.candidate in (None, name) else "baseline",
            members=(name,),
            method=ELSEWHERE,
            train="elsewhere",
            form="single",
            seeds=len(table.runs),
        )
        for name, table in tables.items()
    )
    return Case(
        task=task,
        items=next(iter(tables.values())).items,
        arms=arms,
        tables=tables,
        selection=selection,
        winner=winner,
        best_single=best_single,
        comparisons=couples,
        margin=rule,
        protocol=ELSEWHERE,
        selected_on=ON_JUDGED if chosen_on is tables else "the selection rows",
        selection_losses={"all": losses} if question.candidate is None and len(losses) > 1 else {},
        chosen_on_judged=chosen_on is tables,
    )


def _judge_scores(source: Any, question: Question, rule: MarginRule, groups: Any, direction: Direction) -> Judgement:
    """Paired differences of mean per-item scores; each arm's scores lie in a table with one column."""
    if direction not in ("higher", "lower"):
        raise unknown_name("direction", str(direction), ("higher", "lower"))
    ids, scores = item_scores(source)
    question.check(list(scores))
    named = with_groups(Labels(ids, ids), groups).groups
    items = ItemTable(ids, np.zeros(len(ids), dtype=np.int64), named)
    tables = {
        name: Table(name, items, values[:, :, None], tuple(f"s{row}" for row in range(len(values))))
        for name, values in scores.items()
    }
    task = Task("regression", (), metric="score" if direction == "higher" else "loss", also=())
    return judge(_case(task, tables, tables, question, rule))
