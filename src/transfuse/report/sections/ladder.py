"""Every arm beside the others; without it a gain could hide that a plainer arm gains as much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.quantities import quantity
from transfuse.report.sections import calibration
from transfuse.report.view import View
from transfuse.report.words import CHOSEN, ELSEWHERE, role, what
from transfuse.types import Evidence

ORDER = 30


def blocks(view: View) -> list[Block]:
    """What each arm is, its levels with intervals, and its difference to the best single model; then the measures that
    the task names and no other section has."""
    if not view.arms:
        return []
    return [
        Heading(
            "The ladder: all arms on the same items" if climbed(view) else "All on the same items", "ladder", "Ladder"
        ),
        Text((_explained(view),)),
        _table(view),
        *_beside(view),
    ]


def climbed(view: View) -> bool:
    """Whether there is a ladder; predictions from elsewhere stand side by side."""
    return view.protocol != ELSEWHERE


def _explained(view: View) -> str:
    told = "With each number stands its 95 % interval; a dash means not compared, or not judged on these rows."
    if not climbed(view):
        return told
    single = view.best_single
    chosen = f"The best single model, chosen before the judged rows were opened, is {single}. " if single else ""
    if view.arm(single or "").get("method") == CHOSEN:
        chosen = "The best single model is chosen anew in each fold, before the rows that it is judged on are opened. "
    return f"{chosen}A fusion has to beat what is cheaper than itself; a control shows where a gain comes from. {told}"


def _table(view: View) -> Table:
    names = [name for name in view.headline if view.find(name)]
    compared = [name for name in names if any(_paired(view, arm, name) is not None for arm in view.arms)]
    columns = (
        Column("Arm"),
        Column("Role"),
        *(view.column(name) for name in names),
        *(view.column(name, title=f"{view.column(name).title} against best single", paired=True) for name in compared),
        Column("What it is"),
    )
    rows = tuple(Row(_cells(view, arm, names, compared), arm.get("name") == view.winner) for arm in view.arms)
    return Table("All arms; the recommended one is marked", columns, rows)


def _beside(view: View) -> list[Block]:
    """The other measures of the task, with what they mean."""
    elsewhere = {*view.headline, *calibration.NAMES}
    names = [name for name in view.measures if name not in elsewhere and view.find(name)]
    if not names:
        return []
    told = "; ".join(f"{quantity(name).title} = {quantity(name).meaning}" for name in names if quantity(name).meaning)
    rows = tuple(
        Row((Span(name, tone="name"), *(view.cell(view.level(name, each)) for each in names)), name == view.winner)
        for name in (str(arm.get("name", "")) for arm in view.arms)
    )
    columns = (Column("Arm"), *(view.column(name) for name in names))
    explained = [Text((f"{told[:1].upper()}{told[1:]}.",))] if told else []
    return [Table("Other measures of the same arms; they decide nothing", columns, rows), *explained]


def _cells(view: View, arm: Mapping[str, Any], names: list[str], compared: list[str]) -> tuple[Span, ...]:
    name = str(arm.get("name", ""))
    alone = name == view.best_single
    return (
        Span(name, tone="name"),
        Span("best single" if alone else role(arm)),
        *(view.cell(view.level(name, quantity)) for quantity in names),
        *(view.cell(_paired(view, arm, quantity), absent="itself" if alone else "–") for quantity in compared),
        Span(what(arm)),
    )


def _paired(view: View, arm: Mapping[str, Any], quantity: str) -> Evidence | None:
    single = view.best_single
    return view.paired(str(arm.get("name", "")), single, quantity) if single else None
