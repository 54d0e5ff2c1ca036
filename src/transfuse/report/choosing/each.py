"""What each source is worth alone, by the probe and by every score; without it one score would speak for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import scaled
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

ORDER = 20
SCORE = "score_"


def blocks(view: View) -> list[Block]:
    """A table of the sources with the probe and their cost, and one with all scores."""
    names = singles(view)
    if not names:
        return []
    found: list[Block] = [
        Heading("Each source alone", "each", "Sources"),
        Text(
            ("With each number stands its 95 % interval over rows. Compare intervals of differences, not of levels.",)
        ),
        _probed(view, names),
    ]
    scores = list(dict.fromkeys(row.quantity for row in view.evidence if row.quantity.startswith(SCORE)))
    return [*found, _scored(view, names, scores)] if scores else found


def singles(view: View) -> list[str]:
    """The sources, best first by the probe."""
    known = [str(arm["name"]) for arm in view.arms if len(arm.get("members") or ()) == 1]
    rows = {name: view.level(name, "probe_log_loss") for name in known}
    return sorted(known, key=lambda name: (_number(rows[name]), name))


def _number(row: Evidence | None) -> float:
    return float("inf") if row is None or isinstance(row.value, Undefined) else row.value


def _probed(view: View, names: list[str]) -> Table:
    columns = (
        Column("Source"),
        Column("Where from"),
        Column("Group", "in one group: not shown to differ", numeric=True),
        view.column("probe_log_loss"),
        Column("Behind the best", "log-loss, lower is better", numeric=True),
        view.column("probe_accuracy"),
        Column("Compute per item", "FLOP", numeric=True),
        Column("Parameters", numeric=True),
    )
    rows = tuple(
        Row(
            (
                Span(name, tone="name"),
                Span(_origin(view, name)),
                Span(str(_group(view, name))),
                view.cell(view.level(name, "probe_log_loss")),
                view.cell(view.paired(name, names[0], "probe_log_loss"), absent="itself" if name == names[0] else "–"),
                view.cell(view.level(name, "probe_accuracy")),
                Span(_cost(view.arm(name), "inference_flops")),
                Span(_cost(view.arm(name), "parameters")),
            ),
            name == view.winner,
        )
        for name in names
    )
    return Table("The sources by a ridge head on their frozen features, out of fold", columns, rows)


def _origin(view: View, name: str) -> str:
    sources = view.setup.get("sources") or ()
    return next((str(source.get("spec", "unknown")) for source in sources if source.get("name") == name), "unknown")


def _group(view: View, name: str) -> int | str:
    groups = view.record.get("ties") or ()
    return next((place for place, names in enumerate(groups, start=1) if name in names), "–")


def _cost(arm: Mapping[str, Any], what: str) -> str:
    cost = arm.get("cost") or {}
    return scaled(float(cost[what])) if cost.get(what) is not None else "unknown"


def _scored(view: View, names: list[str], scores: list[str]) -> Table:
    """One row a score, one column a source; the highest value of each score is named."""
    columns = (Column("Score"), Column("Unit", "higher is better"), *(Column(name, numeric=True) for name in names))
    return Table(
        "What other scores say, sources in the probe's order",
        columns,
        tuple(_line(view, names, each) for each in scores),
    )


def _line(view: View, names: list[str], score: str) -> Row:
    rows = [view.level(name, score) for name in names]
    best = max((-_number(row) if _number(row) == float("inf") else _number(row) for row in rows), default=0.0)
    unit = next((row.unit for row in rows if row is not None), "")
    cells = []
    for row in rows:
        cell = view.cell(row)
        top = row is not None and not isinstance(row.value, Undefined) and row.value == best
        cells.append(Span(f"{cell.text} ←" if top else cell.text, cell.evidence, note=_why(row)))
    return Row((Span(score.removeprefix(SCORE).replace("_", " "), tone="name"), Span(unit), *cells))


def _why(row: Evidence | None) -> str:
    """Why a value is missing, without the source's name: the same reason is one note."""
    return row.value.reason if row is not None and isinstance(row.value, Undefined) else ""
