"""Which answers change when one arm replaces another; without it a gain could hide that many right answers are lost."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

ORDER = 70
NAMES = ("positive_flips", "negative_flips", "mcnemar_midp")


def blocks(view: View) -> list[Block]:
    """One row a comparison: newly right, newly wrong, and McNemar's test, run by run and never pooled."""
    pairs = list(dict.fromkeys((row.arm, row.versus) for name in NAMES for row in view.find(name) if row.versus))
    if not pairs:
        return []
    rows = tuple(_row(view, arm, versus) for arm, versus in pairs if versus)
    columns = (
        Column("Change"),
        Column("Newly right", "%, higher is better", numeric=True),
        Column("Newly wrong", "%, lower is better", numeric=True),
        Column("McNemar mid-p", "one test a run", numeric=True),
    )
    told = (
        "What a user notices after a switch: items that become right, and items that were right and become wrong. "
        "McNemar's p tells how likely so uneven a split would be if both arms were equally good; it is given run "
        "by run, because the runs share their items."
    )
    return [
        Heading("What changes for single items", "flips", "Changes"),
        Text((told,)),
        Table("Changed answers", columns, rows),
    ]


def _row(view: View, arm: str, versus: str) -> Row:
    spreads = [_spread(view, view.find(name, arm=arm, versus=versus)) for name in NAMES]
    return Row(
        (Span(f"{arm} instead of {versus}", tone="name"), *spreads), arm == view.winner and versus == view.best_single
    )


def _spread(view: View, rows: tuple[Evidence, ...]) -> Span:
    """One row as it is; several, one a run, as their range."""
    defined = sorted((row for row in rows if not isinstance(row.value, Undefined)), key=lambda row: float(row.value))  # pyright: ignore[reportArgumentType]
    if len(rows) < 2 or not defined:
        return view.cell(rows[0] if rows else None)
    low, high = (spell(row, interval=False, with_unit=False) for row in (defined[0], defined[-1]))
    missing = "; ".join(row.value.reason for row in rows if isinstance(row.value, Undefined))
    text = low if low == high else f"{low} to {high}"
    return Span(f"{text} ({len(defined)} runs)", tuple(row.id for row in rows), note=missing)
