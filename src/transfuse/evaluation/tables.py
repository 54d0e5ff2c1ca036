"""Calibrated probabilities tied to their items: without this record two arms could be compared row by wrong row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from transfuse.errors import UserError
from transfuse.evaluation import temperature
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.figures import plural
from transfuse.kinds import kind_of
from transfuse.types import ItemTable, Predictions, TaskKind

ROW_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Table:
    """Probabilities [k, N, C] of one arm: k runs, N items in the order of `items`, C classes or labels; of a regression
    the predicted numbers [k, N, T].

    `temperatures` are those that were applied, [k] or [k, N], or None where the arm came without any. `logits` are the
    scores before the temperature, where the arm gives any. `folds [k, N]` tell which fold of its repeat gave a row,
    where runs are repeats of cross-fitting. `given [k, N, C]` ranks the items where `probs` does not: within a run each
    fold of cross-fitted temperatures has its own. `memo` keeps what was computed of this table.
    """

    arm: str
    items: ItemTable
    probs: np.ndarray
    runs: tuple[str, ...]
    temperatures: np.ndarray | None = None
    logits: np.ndarray | None = None
    folds: np.ndarray | None = None
    given: np.ndarray | None = None
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.probs.ndim != 3 or self.probs.shape[:2] != (len(self.runs), len(self.items)):
            raise UserError(
                "predictions do not match their items",
                where=f"arm '{self.arm}'",
                expected=f"[{len(self.runs)} runs, {len(self.items)} items, classes]",
                got=f"shape {list(self.probs.shape)}",
            )
        if len(set(self.runs)) != len(self.runs) or not self.runs:
            raise UserError(
                "runs must have distinct names, at least one", where=f"arm '{self.arm}'", got=str(self.runs)
            )
        if len(self.items) == 0:
            raise UserError("there are no items to judge", where=f"arm '{self.arm}'")

    def read_by(self, metric: Metric) -> Table:
        """What a metric looks at: of ranks the table of the scores as they were given, where there are such."""
        return self.ranked if metric.takes == "ranks" else self

    @property
    def ranked(self) -> Table:
        """The table whose scores rank the items; itself where one temperature holds for all of a run."""
        if self.given is None:
            return self
        if "ranked" not in self.memo:
            self.memo["ranked"] = replace(self, probs=self.given, given=None, temperatures=None, logits=None)
        return self.memo["ranked"]


def listed(names: Sequence[str], limit: int = 5) -> str:
    """The first few names and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def table(
    predictions: Predictions,
    items: ItemTable,
    temperatures: Sequence[float] | np.ndarray | None = None,
    kind: TaskKind = "multiclass",
) -> Table:
    """Probabilities of one arm after its temperatures: one a run [k], or one a row [k, N]; None leaves T = 1.

    Raises: `UserError` naming the items whose rows hold NaN or, as probabilities, are none; for a target without a
    score column; for temperatures that do not match the runs. A regression has no temperatures.
    """
    scores = np.asarray(predictions.scores, dtype=np.float64)
    check_rows(predictions.arm, scores, predictions.scale, items.ids, kind)
    check_classes(predictions.arm, scores.shape[2], items, kind)
    temperatures = None if kind == "regression" else temperatures
    used = np.ones(len(scores)) if temperatures is None else np.asarray(temperatures, dtype=np.float64)
    if len(scores) != len(predictions.runs) or used.shape not in ((len(scores),), scores.shape[:2]):
        raise UserError(
            "scores, runs and temperatures differ in number",
            where=f"arm '{predictions.arm}'",
            expected=f"{len(predictions.runs)} of each",
            got=f"{len(scores)} tables of scores, temperatures {list(used.shape)}",
        )
    applied = [temperature.apply(run, predictions.scale, used[row], kind) for row, run in enumerate(scores)]
    return Table(
        predictions.arm,
        items,
        np.stack(applied),
        predictions.runs,
        temperatures=None if temperatures is None else used,
        logits=scores if predictions.scale == "logit" else None,
    )


def check_rows(arm: str, scores: np.ndarray, scale: str, ids: Sequence[str], kind: TaskKind = "multiclass") -> None:
    """Refuse rows [k, N, C] that are not finite or, as probabilities, no distribution; the message names the items.

    Probabilities of labels need not sum to one, but lie in [0, 1].
    """
    if scores.ndim != 3 or scores.shape[1] != len(ids) or scores.shape[1] == 0:
        raise UserError(
            "scores do not match the items",
            where=f"arm '{arm}'",
            expected=f"[runs, {len(ids)}, classes]",
            got=f"{list(scores.shape)}",
        )
    broken = [ids[row] for row in np.flatnonzero(~np.isfinite(scores).all(axis=(0, 2))).tolist()]
    if broken:
        hint = "predict these items, or take them out of labels and predictions"
        got = f"items {listed(broken)}"
        raise UserError(f"NaN or infinity in {plural(len(broken), 'row')}", where=f"arm '{arm}'", got=got, hint=hint)
    if scale == "probability":
        sums = kind == "multiclass"
        off = (scores < 0).any(axis=2)
        off |= np.abs(scores.sum(axis=2) - 1.0) > ROW_SUM_TOLERANCE if sums else (scores > 1).any(axis=2)
        wrong = [ids[row] for row in np.flatnonzero(off.any(axis=0)).tolist()]
        if wrong:
            raise UserError(
                f"{len(wrong)} rows are no probabilities",
                where=f"arm '{arm}'",
                expected="no negative value and a sum of 1" if sums else "values in [0, 1]",
                got=f"items {listed(wrong)}",
                hint=f"if these are scores before the {'softmax' if sums else 'sigmoid'}, their scale is logit",
            )


def check_classes(arm: str, classes: int, items: ItemTable, kind: TaskKind = "multiclass") -> None:
    """Refuse targets that have no score column, and a single column of classes."""
    if kind != "multiclass":
        targets, noun = np.asarray(items.targets), kind_of(kind).column
        if targets.ndim != 2 or targets.shape[1] != classes:
            width = targets.shape[1] if targets.ndim == 2 else 0
            expected, got = f"one a {noun}: {width}", str(classes)
            raise UserError(
                f"{noun}s and score columns differ in number", where=f"arm '{arm}'", expected=expected, got=got
            )
        return
    if classes < 2:
        raise UserError("a classifier needs at least two score columns", where=f"arm '{arm}'", got=f"{classes}")
    targets = np.asarray(items.targets)
    if len(targets) and (targets.min() < 0 or targets.max() >= classes):
        raise UserError(
            "a target has no score column",
            where=f"arm '{arm}'",
            expected=f"class numbers 0 to {classes - 1}",
            got=f"{int(targets.min())} to {int(targets.max())}",
        )


@dataclass(frozen=True)
class Pair:
    """Two tables joined by item id and by run: probabilities [k, N, C] each, in one order."""

    items: ItemTable
    first: np.ndarray
    second: np.ndarray
    runs: tuple[str, ...]
    note: str = ""


def match_runs(first: Table, second: Table) -> tuple[tuple[str, ...], list[int], list[int], str]:
    """Which runs of two tables meet: names, positions in either table, and a note where it is not one to one."""
    one, other = len(first.runs) == 1, len(second.runs) == 1
    if one or other:
        runs = second.runs if one else first.runs
        left, right = [0 if one else row for row in range(len(runs))], [0 if other else row for row in range(len(runs))]
        single = first.arm if one else second.arm
        return runs, left, right, "" if one and other else f"the one run of {single} meets every run of the other arm"
    runs = tuple(run for run in first.runs if run in second.runs)
    if not runs:
        raise UserError(
            "the two arms share no run",
            where=f"'{first.arm}' against '{second.arm}'",
            got=f"{listed(first.runs)}; {listed(second.runs)}",
        )
    fewer = len(runs) < max(len(first.runs), len(second.runs))
    note = f"only the {len(runs)} runs that both arms have" if fewer else ""
    return runs, [first.runs.index(run) for run in runs], [second.runs.index(run) for run in runs], note


def pair(first: Table, second: Table) -> Pair:
    """Join two tables by item id and by run name.

    An arm with a single run meets every run of the other; runs that only one of them has are left out; both are noted.
    Raises: `UserError` where ids differ, targets differ, or no run is common.
    """
    where = f"'{first.arm}' against '{second.arm}'"
    rows = meeting(first.items, second.items, where)
    if first.probs.shape[2] != second.probs.shape[2]:
        raise UserError(
            "the two arms know different numbers of classes",
            where=where,
            got=f"{first.probs.shape[2]} and {second.probs.shape[2]}",
        )
    runs, left, right, note = match_runs(first, second)
    return Pair(first.items, _taken(first.probs, left, None), _taken(second.probs, right, rows), runs, note)


def meeting(first: ItemTable, second: ItemTable, where: str) -> np.ndarray | None:
    """The rows of `second` that hold the items of `first`, in its order; None where both are in one order already."""
    rows = None
    if first.ids != second.ids:
        order = {item: row for row, item in enumerate(second.ids)}
        apart = sorted(set(order).symmetric_difference(first.ids))
        if apart:
            raise UserError(
                "the two arms were not judged on the same items", where=where, got=f"unmatched {listed(apart)}"
            )
        rows = np.array([order[item] for item in first.ids], dtype=np.intp)
    targets = np.asarray(second.targets)
    if not np.array_equal(targets if rows is None else targets[rows], np.asarray(first.targets)):
        raise UserError("the two arms carry different targets for the same items", where=where)
    return rows


def _taken(probs: np.ndarray, runs: Sequence[int], rows: np.ndarray | None) -> np.ndarray:
    """Some runs and rows of probabilities, without a copy where these are all, in order. [k, N, C]."""
    whole = list(runs) == list(range(len(probs)))
    taken = probs if whole else probs[list(runs)]
    return taken if rows is None else taken[:, rows]


def differences(first: Table, second: Table, metric: str | Metric) -> np.ndarray:
    """Item differences first − second of a metric that is a mean over items, joined by id and run. [k, N]."""
    chosen = find_metric(metric) if isinstance(metric, str) else metric
    if not chosen.item_mean:
        raise UserError(f"{chosen.name} is no mean over items, so it has no item differences", hint="crossed_bootstrap")
    joined = pair(first, second)
    targets = np.asarray(joined.items.targets)
    return (chosen.run_columns(targets, joined.first) - chosen.run_columns(targets, joined.second))[..., 0]
