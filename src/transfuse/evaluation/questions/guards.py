"""Is what you guard left unharmed? Without it a promise made before the run would be forgotten after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from transfuse.evaluation.case import Case
from transfuse.evaluation.measure import compare
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.words import digits, named, number
from transfuse.types import Evidence, Flag, Undefined

ORDER = 34
PREFIX = "guard_"


def ask(case: Case) -> list[Evidence]:
    """For each guarded metric the winner's difference to the best single and whether harm beyond the guard's margin is
    excluded: the 95 % interval of the gain lies above −margin (non-inferiority).
    """
    if case.winner == case.best_single:
        return []
    return [_row(case, name, margin) for name, margin in sorted(case.guards.items())]


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """One flag for each guard that does not hold, saying whether harm is shown or only not excluded."""
    return [_flag(case, row) for row in rows.values() if row.provenance.get("guard") in ("shown", "not excluded")]


def _row(case: Case, name: str, margin: float) -> Evidence:
    metric = find_metric(name)
    found = Measured.of(compare(case.tables[case.winner], case.tables[case.best_single], metric))
    row = evidence(
        Quantity(PREFIX + name, metric.unit, metric.direction),
        Subject(case.winner, case.best_single, case.split),
        found,
        {"metric": name, "margin": margin},
    )
    return replace(row, provenance=row.provenance | {"guard": _standing(row, margin)})


def _standing(row: Evidence, margin: float) -> str:
    """`kept`: no harm beyond the margin; `shown`: harm beyond it; else `not excluded`."""
    if row.low is None or row.high is None:
        return "not excluded"
    low, high = (-row.high, -row.low) if row.direction == "lower" else (row.low, row.high)
    if low > -margin or low == high == 0.0:
        return "kept"
    return "shown" if high < -margin else "not excluded"


def _flag(case: Case, row: Evidence) -> Flag:
    name, margin = named(row.provenance["metric"]), number(row.provenance["margin"], row.unit)
    who = f"of {case.winner} against {case.best_single}"
    if row.provenance["guard"] == "shown":
        what = f"The guard on {name} is broken: harm {who} beyond {margin} is shown"
    else:
        what = f"The guard on {name} is not kept: harm {who} beyond {margin} is not excluded"
    if isinstance(row.value, Undefined):
        return Flag("harm", f"{what}; the difference is undefined ({row.value.reason}).", (row.id,))
    effect = number(row.value, row.unit, signed=True)
    if row.low is None or row.high is None:
        return Flag("harm", f"{what}; the difference is {effect}, {row.method}.", (row.id,))
    ends = f"{digits(row.low, row.unit, signed=True)} to {digits(row.high, row.unit, signed=True)}"
    return Flag(
        "harm", f"{what}; the difference is {effect}, 95 % interval {ends} ({row.direction} is better).", (row.id,)
    )
