"""What the sources still know of their own tasks; without it forgetting would go unseen until somebody needs it."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import spell, unit
from transfuse.report.pieces import defined
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.types import Evidence

ORDER = 76
QUANTITIES = ("retention_kl", "own_accuracy_change")


def blocks(view: View) -> list[Block]:
    """How far each source's own answers moved inside each arm; and its accuracy on its own task, where it was asked."""
    rows = [row for row in view.evidence if row.quantity in QUANTITIES]
    if not rows:
        return []
    told = (
        "The answers of each source's own head before and after, on the selection rows: 0 where the source was kept as "
        "it is. It is a proxy for forgetting; accuracy on the source's own items is the thing itself."
    )
    columns = (Column("Inside"), Column("Source"), Column("Measure"), Column("Value", "95 % interval", numeric=True))
    lines = tuple(
        Row((
            Span(row.arm, tone="name"),
            Span(row.versus or ""),
            Span(quantity(row.quantity).title),
            view.cell(row, with_unit=True),
        ))
        for row in rows
    )  # fmt: skip
    return [
        Heading("What the sources still know", "retention", "Retention", _finding(rows), folded=True),
        Text((told,)),
        Table("Before and after", columns, lines),
    ]


def _finding(rows: list[Evidence]) -> str:
    known = [(value, row) for row in rows if row.quantity == "retention_kl" and (value := defined(row)) is not None]
    if not known:
        return "What the sources still know of their own tasks."
    value, row = max(known, key=lambda pair: pair[0])
    if value == 0.0:
        return "Every source answers exactly as before: their weights were not touched."
    moved = f"{spell(row, interval=False)}" if unit(row) else spell(row)
    return f"{row.versus} inside {row.arm} moved furthest: its own answers by {moved}."
