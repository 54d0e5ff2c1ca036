"""What is gained by leaving unsure items to a person; without it nobody could set a threshold."""

from __future__ import annotations

from transfuse.report.blocks import Block, Chart, Column, Heading, Row, Span, Table, Text
from transfuse.report.charts import chart, curves
from transfuse.report.numbers import fixed, spell
from transfuse.report.pieces import chief, share
from transfuse.report.view import View
from transfuse.types import Evidence

ORDER = 54
AREAS = ("aurc", "e_aurc")


def blocks(view: View) -> list[Block]:
    """The risk–coverage curves, and the error that is left when the most unsure items are handed over."""
    rows = [row for name in chief(view) if (row := view.level(name, "aurc")) is not None]
    if not rows:
        return []
    drawing = _curves(rows)
    told = (
        "Items are answered from the most confident one on. The curve tells how many of the answers are wrong when "
        "only that share is answered and the rest is left to a person."
    )
    return [
        Heading("Answering in part", "selective", "In part", _finding(view), folded=True),
        *([drawing] if drawing else []),
        Text((told,)),
        _table(view, [row.arm for row in rows]),
    ]


def _at(view: View, arm: str, coverage: float) -> Evidence | None:
    found = view.find("risk_at_coverage", arm=arm)
    return next((row for row in found if row.provenance.get("coverage") == coverage), None)


def _coverages(view: View) -> list[float]:
    found = {row.provenance.get("coverage") for row in view.find("risk_at_coverage")}
    return sorted(each for each in found if isinstance(each, float))


def _finding(view: View) -> str:
    for coverage in _coverages(view):
        row = _at(view, view.judged_as, coverage)
        if row is not None:
            return (
                f"Answering only the most confident {share(coverage)}, what ships errs on {spell(row, interval=False)}."
            )
    return "How errors fall when unsure items are left to a person."


def _curves(rows: list[Evidence]) -> Chart | None:
    lines = []
    for row in rows:
        drawn = row.provenance.get("curve") or {}
        coverage, risk = drawn.get("coverage") or (), drawn.get("risk") or ()
        if len(coverage) == len(risk) > 1:
            lines.append(curves.Line(row.arm, tuple(100 * x for x in coverage), tuple(100 * y for y in risk)))
    if not lines:
        return None
    plane = curves.Plane(
        "share of items answered, %", "of these wrong, %", marks=False, x_limits=(0.0, 100.0), y_limits=(0.0, 100.0)
    )
    ends = [(line.label, line.y[-1], line.y[len(line.y) // 2]) for line in lines]
    told = "; ".join(
        f"{name}: {fixed(whole, 1)} % wrong when all are answered, {fixed(half, 1)} % at half"
        for name, whole, half in ends
    )
    lowest = min(ends, key=lambda each: each[2])
    return chart(
        lambda width: curves.draw(width, lines, plane),
        finding=f"When the surest half is answered, {lowest[0]} errs least: {fixed(lowest[2], 1)} %.",
        caption="Lower is better. Where a curve stays flat, confidence tells little about who is wrong.",
        summary=f"Error against the share answered. {told}.",
        rows=rows,
    )


def _table(view: View, arms: list[str]) -> Table:
    coverages = _coverages(view)
    columns = (
        Column("Arm"),
        *(Column(f"{share(each)} answered", "% wrong, lower is better", numeric=True) for each in coverages),
        *(view.column(name) for name in AREAS),
    )
    rows = tuple(
        Row(
            (
                Span(arm, tone="name"),
                *(view.cell(_at(view, arm, each)) for each in coverages),
                *(view.cell(view.level(arm, name)) for name in AREAS),
            ),
            arm == view.winner,
        )
        for arm in arms
    )
    return Table("Errors that are left when the most unsure items are handed over", columns, rows)
