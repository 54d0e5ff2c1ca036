"""How each branch of the fused arms fares; without it a fusion could be one source that carries the other."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.view import View

ORDER = 75
NAMES = ("branch_solo", "branch_without", "branch_gradient", "branch_share")


def blocks(view: View) -> list[Block]:
    """One row a branch of each fused arm."""
    pairs = list(dict.fromkeys((row.arm, row.provenance.get("branch", "")) for row in view.find("branch_solo")))
    if not pairs:
        return []
    names = [name for name in NAMES if view.find(name)]
    cells = {
        (row.quantity, row.arm, row.provenance.get("branch", "")): row for name in names for row in view.find(name)
    }
    rows = tuple(
        Row(
            (
                Span(arm, tone="name"),
                Span(branch, tone="name"),
                *(view.cell(cells.get((name, arm, branch))) for name in names),
            ),
            arm == view.winner,
        )
        for arm, branch in pairs
    )
    told = (
        "Each branch through the fused head, on held rows: how often it is right alone, how often the rest is right "
        "without it, and its share of the loss's gradient. A silenced branch is replaced by its training mean."
    )
    columns = (Column("Arm"), Column("Branch"), *(view.column(name) for name in names))
    return [Heading("How the branches fare", "branches", "Branches"), Text((told,)), Table("Branches", columns, rows)]
