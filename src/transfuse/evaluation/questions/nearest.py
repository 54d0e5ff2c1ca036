"""Does the verdict hold without judged rows that a training row nearly repeats? Without it recall counts as skill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from transfuse.evaluation.case import ELSEWHERE, Case
from transfuse.evaluation.cast import chief, class_name, item_metric, restricted
from transfuse.evaluation.claims import statuses
from transfuse.evaluation.measure import Estimate, compare, level
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.nearest import Near
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.statistics.resample import Interval
from transfuse.evaluation.tables import Table
from transfuse.evaluation.words import STATUS, digits, named, number
from transfuse.types import Direction, Evidence, Flag, Undefined

ORDER = 26
CITATION = "Levina and Bickel, NeurIPS 2004; Facco et al., Scientific Reports 2017; Barz and Denzler, J. Imaging 2020"
SHARE = Quantity("near_identical", "share", "lower", 0.0, 1.0)
# All finders together.
ANY = "any of these"
APART, AMONG = "apart_", "near_"
SMALLEST = 10
# Pairs that are named: with another label first, then the nearest, then those nearest to the limit.
NAMED = {"differ": 6, "nearest": 3, "least near": 3}


def ask(case: Case) -> list[Evidence]:
    """The share of judged rows with a near-identical training row, by finder and by any; chief arms in the deciding
    measure and in accuracy on the other rows and on these alone (at least 10); and the winner against the best single
    on the other rows, with its status there and on all rows, both uncorrected.
    """
    known = {name: found for name, found in case.nearest.items() if isinstance(found, Near)}
    rows = [_found(case, name, found) for name, found in case.nearest.items()]
    if not known:
        return rows
    close = np.any([found.close for found in known.values()], axis=0)
    if len(known) > 1:
        rows.append(_found(case, ANY, _together(known, close)))
    return [*rows, *_judged(case, close)] if close.any() else rows


def silent(case: Case) -> dict[str, str]:
    """Predictions alone show neither items nor features."""
    if case.protocol != ELSEWHERE:
        return {}
    return {"rows to judge that training rows nearly repeat": "predictions come without the items and their features"}


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """Where the claim's status is another one without these rows, or an arm's level there is worse than on all rows by
    more than the margin."""
    metric = item_metric(case)
    name = "" if metric is None else APART + metric.name
    pair = rows.get(Subject(case.winner, case.best_single, case.split).id(name))
    said, seen = [], []
    if pair is not None and pair.provenance["status"] != pair.provenance["status_all"]:
        said.append(_changed(pair))
        seen.append(pair.id)
    for arm in dict.fromkeys((case.winner, case.best_single)):
        row = rows.get(Subject(arm, None, case.split).id(name))
        if row is not None and _flattered(row) > row.provenance["margin"]:
            own, other = (number(float(each), row.unit) for each in (row.value, row.provenance["all"]))  # pyright: ignore[reportArgumentType]
            said.append(f"{arm} has a {named(row.provenance['metric'])} of {own} on the other rows, {other} on all.")
            seen.append(row.id)
    if not said:
        return []
    shares = [row for row in rows.values() if row.quantity == SHARE.name and not isinstance(row.value, Undefined)]
    whole = shares[-1]
    lead = f"{whole.provenance['count']:,} of {whole.n:,} judged rows have a near-identical training row."
    return [Flag("near_identical", " ".join([lead, *said]), (whole.id, *seen))]


def _found(case: Case, name: str, found: Near | Undefined) -> Evidence:
    """One finder's share of the judged rows, and what speaks for and against what it found."""
    subject, count = Subject(name, None, case.split), len(case.items)
    if isinstance(found, Undefined):
        return evidence(SHARE, subject, Measured.not_there(found.reason, count))
    about: dict[str, Any] = {**found.about, "count": int(found.close.sum()), "pairs": _pairs(case, found)}
    if found.label is not None:
        differ = (found.label != np.asarray(case.items.targets)) & (found.label >= 0)
        about["differ"] = int(differ[found.close].sum())
        if "limits" in about:
            about["differ_in_general"] = float(differ.mean())
    method = "a count of these rows"
    if "limits" in about:
        most = max(limit["ratio"] for limit in about["limits"].values())
        method += f"; the nearest training row at most {most:.2g} times as far as the tenth nearest"
    return evidence(SHARE, subject, Measured(float(found.close.mean()), count, method=method), about)


def _together(known: Mapping[str, Near], close: np.ndarray) -> Near:
    """All finders as one: of each row the training row of the finder by which it is nearest; look-alikes come last."""
    finders, rows = list(known.values()), np.arange(len(close))
    ratios = np.stack([_rank(found) for found in finders])
    best = ratios.argmin(axis=0)
    labels = [found.label for found in finders if found.label is not None]
    return Near(
        close,
        tuple(finders[place].other[row] for row, place in enumerate(best)),
        np.where(np.isfinite(ratios[best, rows]), ratios[best, rows], np.nan),
        np.stack(labels)[best, rows] if len(labels) == len(finders) else None,
    )


def _rank(found: Near) -> np.ndarray:
    """Ratios of what a finder found; where it tells none a number above all, and infinity where it found nothing."""
    ratio = np.full(len(found.close), np.nan) if found.ratio is None else found.ratio
    return np.where(found.close, np.nan_to_num(ratio, nan=np.finfo(np.float64).max), np.inf)


def _pairs(case: Case, found: Near) -> list[list[Any]]:
    """Named pairs: judged id, training id, their classes, and the ratio of distances where it is known."""
    rows = np.flatnonzero(found.close)
    ratio = np.full(len(found.close), np.nan) if found.ratio is None else found.ratio
    order = rows[np.argsort(ratio[rows], kind="stable")].tolist()
    targets = np.asarray(case.items.targets)
    differ = [row for row in order if found.label is not None and found.label[row] != targets[row]]
    same = [row for row in order if row not in set(differ)]
    chosen = [*differ[: NAMED["differ"]], *same[: NAMED["nearest"]], *same[NAMED["nearest"] :][-NAMED["least near"] :]]

    def named_pair(row: int) -> list[Any]:
        classes = [None, None]
        if found.label is not None:
            classes = [class_name(case, int(number)) for number in (targets[row], found.label[row])]
        shown = float(f"{ratio[row]:.3g}") if ratio[row] <= 1.0 else None
        return [case.items.ids[row], found.other[row], *classes, shown]

    return [named_pair(row) for row in chosen]


def _judged(case: Case, close: np.ndarray) -> list[Evidence]:
    """Levels with and without these rows, and the difference that decides without them."""
    primary = item_metric(case)
    metrics = [] if primary is None else [primary]
    if "accuracy" in case.metrics and case.task.metric != "accuracy":
        metrics.append(find_metric("accuracy"))
    parts = {APART: np.flatnonzero(~close), AMONG: np.flatnonzero(close)}
    rows = []
    for metric in metrics:
        for arm in chief(case):
            whole = level(case.tables[arm], metric)
            rows += [
                _level(case, prefix, arm, metric, whole, places)
                for prefix, places in parts.items()
                if prefix == APART or len(places) >= SMALLEST
            ]
        if case.winner != case.best_single:
            rows.append(_pair(case, metric, parts[APART]))
    return rows


def _level(case: Case, prefix: str, arm: str, metric: Metric, whole: Estimate, places: np.ndarray) -> Evidence:
    """An arm's value on a part of the judged rows; `provenance.all` is that on all."""
    subject = Subject(arm, None, case.split)
    about = {"metric": metric.name, "margin": case.margin_of(metric.name), "all": _plain(whole)}
    quantity = Quantity(prefix + metric.name, metric.unit, metric.direction)
    if len(places) < SMALLEST:
        return evidence(quantity, subject, Measured.not_there(_few(places), len(places)), about)
    found = level(_part(case, arm, places), metric)
    return evidence(quantity, subject, Measured.of(found), about)


def _pair(case: Case, metric: Metric, places: np.ndarray) -> Evidence:
    """The winner against the best single on the rows left."""
    subject = Subject(case.winner, case.best_single, case.split)
    first, second = case.tables[case.winner], case.tables[case.best_single]
    whole, margin = compare(first, second, metric), case.margin_of(metric.name)
    about = {"metric": metric.name, "margin": margin, "all": _plain(whole), **_ends(whole)}
    about["status_all"] = _status(whole, margin, metric.direction)
    quantity = Quantity(APART + metric.name, metric.unit, metric.direction)
    if len(places) < SMALLEST:
        row = evidence(quantity, subject, Measured.not_there(_few(places), len(places)), about)
        return replace(row, provenance=row.provenance | {"status": "not shown"})
    found = compare(_part(case, case.winner, places), _part(case, case.best_single, places), metric)
    return evidence(quantity, subject, Measured.of(found), about | {"status": _status(found, margin, metric.direction)})


def _part(case: Case, arm: str, places: np.ndarray) -> Table:
    """An arm's table of these of the case's items, whatever the order of its own."""
    table = case.tables[arm]
    if table.items.ids != case.items.ids:
        rows = {item: row for row, item in enumerate(table.items.ids)}
        places = np.array([rows[case.items.ids[place]] for place in places.tolist()], dtype=np.intp)
    return restricted(table, places)


def _plain(found: Estimate) -> float | None:
    return None if isinstance(found.value, Undefined) else found.value


def _ends(found: Estimate) -> dict[str, float]:
    known = found.interval
    return {"low_all": known.low, "high_all": known.high} if isinstance(known, Interval) else {}


def _status(found: Estimate, margin: float, direction: Direction) -> str:
    return statuses([found.interval], margin, direction, corrected=False)[0]


def _few(places: np.ndarray) -> str:
    return f"only {len(places)} judged rows have no near-identical training row; at least {SMALLEST} are needed"


def _flattered(row: Evidence) -> float:
    """By how much all rows look better than those without a near-identical one."""
    if isinstance(row.value, Undefined) or row.provenance["all"] is None:
        return 0.0
    gap = float(row.value) - float(row.provenance["all"])
    return gap if row.direction == "lower" else -gap


def _changed(row: Evidence) -> str:
    """What the comparison shows without these rows, and what on all."""
    about = row.provenance
    now, before = (STATUS[about[key]][0] for key in ("status", "status_all"))
    lead = f"Without them {row.arm} against {row.versus} is {now} in {named(about['metric'])}, on all rows {before}"
    if isinstance(row.value, Undefined):
        return f"{lead} ({row.value.reason})."
    ends = [digits(each, row.unit, signed=True) for each in (row.low, row.high) if each is not None]
    own = digits(row.value, row.unit, signed=True) + (f" [{', '.join(ends)}]" if ends else "")
    text = f"{lead}: {own} instead of {number(about['all'], row.unit, signed=True)}"
    inside = row.low is not None and row.high is not None and row.low <= about["all"] <= row.high
    return f"{text}; fewer rows alone may explain it." if inside else f"{text}."
