"""How much does an arm learn from how few rows? Without it "the fusion saves labels" would be a hope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Measured, Quantity, Subject, by_run, evidence, mean_of_runs
from transfuse.evaluation.statistics.learning import area_by_log_rows, data_multiplier, falling, ratio_interval
from transfuse.types import Evidence, Undefined, Value

ORDER = 90
CITATION = "Taylor, Stone, Transfer learning for reinforcement learning domains, JMLR 2009"
SEEN = "selection_loss"
MULTIPLIER = Quantity("data_multiplier", "times", "higher", 0.0)
RATIO = Quantity("transfer_ratio", "ratio", "higher")
SPLIT = "selection"


@dataclass(frozen=True)
class Curve:
    """The primary metric of one arm by training size, `values [k, P]` of the runs that have every size."""

    arm: str
    runs: tuple[str, ...]
    rows: np.ndarray
    values: np.ndarray

    def at(self, rows: np.ndarray, runs: tuple[str, ...]) -> np.ndarray:
        """Values at some of the sizes and runs. [k, P]."""
        columns = np.searchsorted(self.rows, rows)
        return self.values[[self.runs.index(run) for run in runs]][:, columns]


def ask(case: Case) -> list[Evidence]:
    """From trainings on nested shares of the rows: the primary metric at each size and its mean over log sizes; against
    the best single, how many times fewer rows reach the same, and the difference at the start, at the end and overall.

    All of it is on the selection rows: it explains, it does not judge.
    """
    metric = find_metric(case.task.metric)
    curves = {curve.arm: curve for curve in _curves(case)}
    rows = [row for curve in curves.values() for row in _alone(curve, metric)]
    base = curves.get(case.best_single)
    if base is None:
        return rows
    return rows + [row for curve in curves.values() if curve is not base for row in _against(case, curve, base, metric)]


def _curves(case: Case) -> list[Curve]:
    found: dict[str, dict[str, dict[int, float]]] = {}
    for seen in case.observations:
        if seen.quantity == SEEN and seen.final:
            found.setdefault(seen.arm, {}).setdefault(seen.run, {})[seen.rows] = seen.value
    return [_curve(arm, runs) for arm, runs in sorted(found.items())]


def _curve(arm: str, runs: Mapping[str, Mapping[int, float]]) -> Curve:
    """The sizes of the run with most of them; other runs count where they have all of these.

    Folds differ by a few rows, so runs are matched size by size in order, and a size is the mean over runs.
    """
    most = max(len(sizes) for sizes in runs.values())
    whole = {run: sorted(sizes.items()) for run, sizes in sorted(runs.items()) if len(sizes) == most}
    sizes = np.array([[size for size, _ in points] for points in whole.values()], dtype=np.float64)
    values = np.array([[value for _, value in points] for points in whole.values()])
    return Curve(arm, tuple(whole), np.rint(sizes.mean(axis=0)), values)


def _alone(curve: Curve, metric: Metric) -> list[Evidence]:
    quantity = Quantity("data_efficiency", metric.unit, metric.direction)
    rows = [
        evidence(
            quantity,
            Subject(curve.arm, None, SPLIT, detail=f"{size:g}"),
            _over(curve.runs, curve.values[:, place]),
            {"rows": int(size), "metric": metric.name},
        )
        for place, size in enumerate(curve.rows)
    ]
    if len(curve.rows) < 2:
        return rows
    area = _over(curve.runs, area_by_log_rows(curve.rows, curve.values))
    about = {"rows": [int(size) for size in curve.rows], "metric": metric.name}
    return [
        *rows,
        evidence(Quantity("aulc", metric.unit, metric.direction), Subject(curve.arm, None, SPLIT), area, about),
    ]


def _over(runs: tuple[str, ...], values: np.ndarray) -> Measured:
    return mean_of_runs(by_run(runs, values))


def _against(case: Case, curve: Curve, base: Curve, metric: Metric) -> list[Evidence]:
    """What the arm gains over the best single, on the sizes and runs that both have."""
    runs = tuple(run for run in curve.runs if run in base.runs)
    rows = np.intersect1d(curve.rows, base.rows)
    if not runs or len(rows) < 2:
        return []
    sign = 1.0 if metric.direction == "lower" else -1.0
    own, other = sign * curve.at(rows, runs), sign * base.at(rows, runs)
    subject = Subject(curve.arm, base.arm, SPLIT)
    gain = {"metric": metric.name, "rows": [int(size) for size in rows]}
    unit, direction = metric.unit, metric.direction
    areas = area_by_log_rows(rows, own), area_by_log_rows(rows, other)
    found = (
        (Quantity("jump_start", unit, direction), _over(runs, sign * (own - other)[:, 0]), gain["rows"][0]),
        (Quantity("asymptote", unit, direction), _over(runs, sign * (own - other)[:, -1]), gain["rows"][-1]),
        (RATIO, _saved(runs, *areas), gain["rows"]),
    )
    kept = [evidence(quantity, subject, measured, gain | {"rows": at}) for quantity, measured, at in found]
    return [*kept, _multiplier(case, subject, runs, rows, (own, other), sign)]


def _saved(runs: tuple[str, ...], own: np.ndarray, other: np.ndarray) -> Measured:
    """(base − arm) / |base| of the areas: the share of the loss that is saved over all sizes."""
    if not other.all():
        return Measured.not_there("the best single has no loss to save")
    return _over(runs, (other - own) / np.abs(other))


def _multiplier(
    case: Case,
    subject: Subject,
    runs: tuple[str, ...],
    rows: np.ndarray,
    losses: tuple[np.ndarray, np.ndarray],
    sign: float,
) -> Evidence:
    """At the target fixed beforehand, else at what the best single reaches with all rows; on the mean curves."""
    own, other = (side.mean(axis=0) for side in losses)
    fixed = case.target is not None
    target = sign * case.target if case.target is not None else float(falling(other)[-1])
    value = data_multiplier(rows, other, own, target)
    method = "isotonic fit of the mean curve, straight in log rows, nothing extrapolated"
    chosen = "fixed beforehand" if fixed else f"what {subject.versus} reaches with all rows"
    about = {"target": sign * target, "target_is": chosen}
    if isinstance(value, Undefined):
        return evidence(MULTIPLIER, subject, Measured(value, method=method), about)
    each = (data_multiplier(rows, base, arm, target) for arm, base in zip(*losses, strict=True))
    told = {run: _known(found) for run, found in zip(runs, each, strict=True)}
    without = [_without(rows, losses, place, target if fixed else None) for place in range(len(runs))]
    low, high = ratio_interval(value, without) or (None, None)
    over = f"; jackknife over {len(runs)} runs" if low is not None else ""
    measured = Measured(value, low=low, high=high, method=method + over)
    return evidence(MULTIPLIER, subject, measured, about | {"by_run": told})


def _without(rows: np.ndarray, losses: tuple[np.ndarray, np.ndarray], place: int, target: float | None) -> Value:
    """The multiplier of the mean curves without one run; a target that is not fixed is read off again."""
    if len(losses[0]) < 2:
        return Undefined("one run")
    own, other = (np.delete(side, place, axis=0).mean(axis=0) for side in losses)
    return data_multiplier(rows, other, own, float(falling(other)[-1]) if target is None else target)


def _known(value: float | Undefined) -> float | None:
    return None if isinstance(value, Undefined) else value
