"""Who pays for a gain: without a screen of classes and groups, a better mean may be bought with one part's loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transfuse.evaluation.case import ELSEWHERE, Case
from transfuse.evaluation.cast import column, other_singles, restricted
from transfuse.evaluation.measure import Estimate, compare
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.recommend import shown_worse
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.statistics.resample import Interval
from transfuse.evaluation.tables import Table
from transfuse.types import CLEAN, Evidence

SMALLEST = 10
MOST = 100
LEVEL = 0.05


def false_discovery(p: Sequence[float]) -> list[float]:
    """Benjamini–Hochberg adjusted p-values, in the order given. Benjamini, Hochberg, 1995.

    Of what has an adjusted p up to q, a share of at most q is expected to be false.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = values[order] * len(values) / np.arange(1, len(values) + 1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0)
    return [float(value) for value in adjusted]


@dataclass(frozen=True)
class Part:
    """A class or a group: its name, its rows, and whether the items' groups still matter within it."""

    name: str
    rows: np.ndarray
    grouped: bool


def parts_of(codes: np.ndarray, names: Sequence[str], *, grouped: bool) -> list[Part]:
    """The parts with at least 10 items, at most 100: those with most items, ties in the order of their codes. [N]."""
    found = [Part(name, np.flatnonzero(codes == code), grouped) for code, name in enumerate(names)]
    large = sorted((part for part in found if len(part.rows) >= SMALLEST), key=lambda part: -len(part.rows))
    kept = {part.name for part in large[:MOST]}
    return [part for part in found if part.name in kept]


@dataclass(frozen=True)
class Screen:
    """One kind of rows for a couple of arms: what they are called and under which key a part's name stands."""

    quantity: str
    subject: Subject
    key: str
    metric: Metric
    margin: float

    def rows(self, first: Table, second: Table, parts: Sequence[Part]) -> list[Evidence]:
        """first − second on every part, adjusted over all parts by Benjamini–Hochberg.

        `provenance.worse_beyond_margin`: the part is worse by more than the margin after the same correction of the
        tests against it.
        """
        sides = [
            (
                restricted(first, part.rows, grouped=part.grouped),
                restricted(second, _same(first, second, part.rows), grouped=part.grouped),
            )
            for part in parts
        ]
        return self.of_sides([part.name for part in parts], sides)

    def of_columns(self, first: Table, second: Table, names: Sequence[str]) -> list[Evidence]:
        """The same on every label or target, at most the first 100, each on all items."""
        sides = [(column(first, number), column(second, number)) for number in range(len(names[:MOST]))]
        return self.of_sides(names[:MOST], sides)

    def of_sides(self, names: Sequence[str], sides: Sequence[tuple[Table, Table]]) -> list[Evidence]:
        """One row for each pair of tables, adjusted over all."""
        estimates = [compare(first, second, self.metric) for first, second in sides]
        plain, beyond = (false_discovery([_p(each, distance) for each in estimates]) for distance in (0.0, self.margin))
        family = f"{len(names)} {self.key} parts in {self.quantity}, Benjamini–Hochberg"
        found = zip(names, estimates, plain, beyond, strict=True)
        return [self._row(*each, family) for each in found]

    def _row(self, part: str, found: Estimate, adjusted: float, beyond: float, family: str) -> Evidence:
        about: dict[str, Any] = {self.key: part, "metric": self.metric.name, "margin": self.margin}
        about["worse_beyond_margin"] = beyond <= LEVEL and self._worse(found)
        quantity = Quantity.difference(self.quantity, self.metric)
        subject = replace(self.subject, detail=part)
        row = evidence(quantity, subject, Measured.of(found), about)
        return replace(row, family=family, adjusted=None if row.p is None else adjusted)

    def _worse(self, found: Estimate) -> bool:
        if not isinstance(found.interval, Interval):
            return False
        return (
            found.interval.mean > self.margin
            if self.metric.direction == "lower"
            else found.interval.mean < -self.margin
        )


def _p(found: Estimate, distance: float) -> float:
    return found.interval.p(distance) if isinstance(found.interval, Interval) else 1.0


def _same(first: Table, second: Table, rows: np.ndarray) -> np.ndarray:
    """The rows of `second` that hold the items of these rows of `first`."""
    if first.items.ids == second.items.ids:
        return rows
    places = {name: row for row, name in enumerate(second.items.ids)}
    return np.array([places[first.items.ids[row]] for row in rows.tolist()], dtype=np.intp)


def named_parts(rows: Sequence[Evidence], key: str) -> str:
    """The parts of some rows, as a list for a sentence."""
    names = [str(row.provenance[key]) for row in rows]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def worse_overall(case: Case, rows: Mapping[str, Evidence], arm: str) -> Evidence | None:
    """The row by which an arm is shown worse than the best single in the primary metric, if there is one."""
    found = (row for row in rows.values() if (row.arm, row.versus) == (arm, case.best_single))
    return next(
        (row for row in found if row.quantity == case.task.metric and row.condition == CLEAN and shown_worse(row)), None
    )


def worse_than_another(case: Case, rows: Mapping[str, Evidence], arm: str) -> Evidence | None:
    """The row by which an arm is shown worse than a single model that was not chosen as the best (of predictions from
    elsewhere: than any other), the one with the smallest p: after correction over all of them, or it would be a chance
    find among many."""
    others = case.tables if case.protocol == ELSEWHERE else other_singles(case, arm)
    found = (rows.get(Subject(arm, other, case.split).id(case.task.metric)) for other in others)
    by_level = {
        row.id: (row.p if row.adjusted is None else row.adjusted, row)
        for row in found
        if row is not None and row.p is not None and shown_worse(row)
    }
    worse = [row for level, row in by_level.values() if level < LEVEL]
    return min(worse, key=lambda row: (row.p, row.id), default=None)


def shown_worse_parts(rows: Mapping[str, Evidence], quantity: str) -> list[Evidence]:
    """The rows of a screen whose part is shown worse beyond the margin."""
    return [row for row in rows.values() if row.quantity == quantity and row.provenance.get("worse_beyond_margin")]
