"""Whether stated confidence can be believed, and who is served worst; without it a good mean could hide both."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import quantity
from transfuse.report.view import View

ORDER = 60
NAMES = ("ece", "ece_uncalibrated", "brier", "worst_class")


def blocks(view: View) -> list[Block]:
    """One table over all arms; what is undefined says why."""
    names = [name for name in NAMES if view.find(name)]
    arms = [str(arm["name"]) for arm in view.arms if any(view.level(str(arm["name"]), name) for name in names)]
    if not arms:
        return []
    meanings = "; ".join(f"{quantity(name).title} = {quantity(name).meaning}" for name in names)
    rows = tuple(
        Row((Span(arm, tone="name"), *(view.cell(view.level(arm, name)) for name in names)), arm == view.winner)
        for arm in arms
    )
    return [
        Heading("Confidence, and the worst-served class", "calibration", "Confidence"),
        Text((f"{meanings[:1].upper()}{meanings[1:]}.",)),
        Table("Confidence and worst class", (Column("Arm"), *(view.column(name) for name in names)), rows),
    ]
