"""Ties records from elsewhere together by item id; without it a missing row would silently shift all rows below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from transfuse.errors import UserError, unknown_name
from transfuse.evaluation import temperature
from transfuse.evaluation.elsewhere import rounded
from transfuse.evaluation.elsewhere.asked import other_kind
from transfuse.evaluation.elsewhere.files import Labels, Scores, texts
from transfuse.evaluation.elsewhere.unions import completed
from transfuse.evaluation.tables import Table, check_classes, check_rows, listed
from transfuse.figures import plural
from transfuse.kinds import kind_of
from transfuse.labels import Alignment
from transfuse.types import ItemTable, Scale, TaskKind

FOLDS = 5
VALUE = "value"
SHOWN = 3
HUNDRED = 100.0


def with_groups(labels: Labels, groups: Any) -> Labels:
    """Labels with these groups: a mapping {item: group}, or one group for each row; None leaves them as they are."""
    if groups is None:
        return labels
    if isinstance(groups, Mapping):
        missing = [item for item in labels.ids if item not in groups]
        if missing:
            raise UserError(f"{len(missing)} items have no group", got=listed(missing))
        return replace(labels, groups=tuple(str(groups[item]) for item in labels.ids))
    named = texts(groups)
    if len(named) != len(labels.ids):
        raise UserError("groups and labels differ in number", got=f"{len(named)} and {len(labels.ids)}")
    return replace(labels, groups=tuple(named))


def class_names(
    scores: Sequence[Scores],
    kind: TaskKind = "multiclass",
    union: Callable[[Sequence[Scores]], tuple[str, ...]] | None = None,
) -> tuple[str, ...]:
    """The classes all predictions share, in the order of the first that names them; numbers where none does.

    With `union` named predictions may know different classes, and it says which these are together; those without names
    must have as many columns.
    """
    named = [each for each in scores if each.classes is not None]
    if named and union is not None:
        together = union(named)
        for each in scores:
            if each.classes is None and each.scores.shape[2] != len(together):
                raise UserError(
                    f"predictions '{each.name}' have another number of class columns than others, and no names",
                    expected=f"{len(together)}: {listed(together)}", got=str(each.scores.shape[2]),
                    hint="name its classes",
                )  # fmt: skip
        return together
    counts = {each.name: each.scores.shape[2] for each in scores}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise UserError(f"predictions have different numbers of {kind_of(kind).column} columns", got=text)
    if kind == "regression" and next(iter(counts.values())) == 1:
        # One number an item needs no name, and files may call it what they like.
        return (next((each.classes[0] for each in named if each.classes), VALUE),)
    if not named:
        return tuple(str(number) for number in range(scores[0].scores.shape[2]))
    first = named[0].classes or ()
    for each in named[1:]:
        strange = [name for name in each.classes or () if name not in first]
        if strange:
            raise unknown_name("class column", strange[0], first, where=f"predictions '{each.name}'")
    return tuple(first)


def items_of(labels: Labels, classes: Sequence[str], split: str | None) -> ItemTable:
    """The labelled items of a split (None: all), with targets as positions in `classes`."""
    numbers = {name: number for number, name in enumerate(classes)}
    for label in labels.labels:
        if label not in numbers:
            raise unknown_name("class", label, classes, where="labels; predictions have no such column")
    rows = [
        row for row in range(len(labels.ids)) if labels.splits is None or split is None or labels.splits[row] == split
    ]
    return ItemTable(
        tuple(labels.ids[row] for row in rows),
        np.array([numbers[labels.labels[row]] for row in rows], dtype=np.int64),
        tuple(labels.groups[row] for row in rows) if labels.groups else None,
    )


def known_scale(
    scores: Scores, scale: Scale | None, kind: TaskKind = "multiclass", classes: Sequence[str] = ()
) -> Scale:
    """The scale of these scores: their own; probability if every row is a distribution; or the given one.

    What was given is for those that do not show theirs: `scale` may be said of several files at once, and no scores
    before a softmax have rows that all sum to 1. Of labels the given scale goes first, then probability if all lie in
    [0, 1]. A regression gives values. Where it cannot be seen, the error names those of all `classes` that have no
    column here, and percent.
    """
    if kind == "regression":
        if {scores.scale, scale} - {None, "value"}:
            raise UserError(f"predictions '{scores.name}' are no numbers of a regression", expected="scale value")
        return "value"
    if scores.scale is not None and scale is not None and scores.scale != scale:
        raise UserError(f"predictions '{scores.name}' say {scores.scale}, but scale {scale} was given")
    if scores.scale is None and kind == "multiclass" and rounded.distributions(scores.scores, scores.half):
        return "probability"
    if (found := scores.scale or scale) is not None:
        return found
    # What is no number is told of with its items, later.
    values = scores.scores[np.isfinite(scores.scores).all(axis=2)]
    within = bool((values >= 0).all() and (values <= 1).all())
    if kind == "multilabel" and within:
        return "probability"
    lacking = [name for name in classes if scores.classes is not None and name not in scores.classes]
    got = "values outside [0, 1]" if kind == "multilabel" else "rows that do not all sum to 1"
    raise UserError(
        f"the scale of predictions '{scores.name}' is missing",
        expected="scale logit or probability",
        got=got + (f", and no column for {listed(lacking)}" if lacking else ""),
        hint=_scale_hint(values, within=within, labels=kind == "multilabel"),
    )


def _scale_hint(values: np.ndarray, *, within: bool, labels: bool) -> str:
    """How to say the scale; percent are to be divided, since as logits they would be judged as what they are not."""
    hundred = bool(values.size and (values >= 0).all() and (values <= HUNDRED).all())
    if not within and hundred and (labels or np.abs(values.sum(axis=-1) - HUNDRED).max() <= 1.0):
        return "divide percent by 100" + (
            "; scale='logit' (--scale logit) for scores before the sigmoid" if labels else ""
        )
    other = f"; or {other_kind('multilabel', 'where labels may hold together')}" if within else ""
    return (
        "scale='logit' for scores before the softmax or sigmoid (--scale logit on the command line), "
        f"'probability' for rounded probabilities{other}"
    )


def _check_items(ids: Sequence[str], labelled: Sequence[str], asked: Sequence[str], where: str) -> None:
    """Refuse items to judge that have no predictions, and predictions that have no label."""
    held, known = set(ids), set(labelled)
    missing = [item for item in asked if item not in held]
    if missing:
        hint = "predict them too, or take them out of the labels"
        if len(missing) == len(asked):
            hint = f"items are matched by name, and here they are called {listed(list(ids)[:SHOWN])}"
        what = f"{plural(len(missing), 'labelled item')} without predictions"
        raise UserError(what, where=where, got=listed(missing), hint=hint)
    extra = [item for item in ids if item not in known]
    if extra:
        hint = "give their labels, or take them out of the predictions"
        raise UserError(
            f"{plural(len(extra), 'predicted item')} without a label", where=where, got=listed(extra), hint=hint
        )


def table_of(
    scores: Scores,
    labels: Labels,
    items: ItemTable,
    classes: Sequence[str],
    scale: Scale | None,
    kind: TaskKind = "multiclass",
    found: Alignment | None = None,
    *,
    calibrated: bool = True,
) -> Table:
    """Probabilities of `items` with temperatures cross-fitted over 5 folds by id, or by group where there are groups.

    The numbers of a regression are taken as they are. `found` says where columns go that are not all classes by name;
    without `calibrated` no temperature is fitted.

    Raises: `UserError` that lists items without predictions and predictions without a label.
    """
    ids = labels.ids if scores.ids is None else scores.ids
    where = f"predictions '{scores.name}'"
    if len(ids) != scores.scores.shape[1]:
        raise UserError(
            "predictions and labels differ in number",
            where=where,
            expected=f"{len(ids)} rows",
            got=f"{scores.scores.shape[1]}",
        )
    place = {item: row for row, item in enumerate(ids)}
    _check_items(ids, labels.ids, items.ids, where)
    used = known_scale(scores, scale, kind, classes)
    rows = scores.scores[:, [place[item] for item in items.ids]]
    if scores.classes is not None and len(classes) > 1 and found is None:
        rows = rows[:, :, [scores.classes.index(name) for name in classes]]
    if used == "probability" and kind == "multiclass":
        rows = rounded.restored(rows, scores.half)
    check_rows(scores.name, rows, used, items.ids, kind)
    if found is not None:
        ties, targets = list(items.groups or items.ids), np.asarray(items.targets)
        rows, used = np.stack([completed(run, found, targets, used, ties) for run in rows]), "probability"
    check_classes(scores.name, rows.shape[2], items, kind)
    if kind == "regression":
        return Table(scores.name, items, rows, scores.runs)
    if not calibrated:
        plain = np.stack([temperature.apply(run, used, 1.0, kind) for run in rows])
        return Table(scores.name, items, plain, scores.runs)
    keys = list(items.groups or items.ids)
    fitted = [temperature.crossfit(run, items.targets, used, keys, FOLDS, kind) for run in rows]
    probs, temperatures = np.stack([probs for probs, _ in fitted]), np.stack([found for _, found in fitted])
    # Of classes ranks are those of probabilities, of labels those of any scores.
    given = rows if kind == "multilabel" else np.stack([temperature.apply(run, used, 1.0, kind) for run in rows])
    return Table(scores.name, items, probs, scores.runs, temperatures, given=given)
