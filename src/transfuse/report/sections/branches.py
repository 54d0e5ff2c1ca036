"""How each branch of the fused arms fares; without it a fusion could be one source that carries the other."""

from __future__ import annotations

from transfuse.figures import plural
from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.pieces import defined
from transfuse.report.view import View

ORDER = 75
MOST_TOLD = 3
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
    heading = Heading("How the branches fare", "branches", "Branches", _finding(view), folded=True)
    return [heading, Text((told,)), Table("Branches", columns, rows)]


def _finding(view: View) -> str:
    """Dead branches where there are any; else what the rest is worth without each branch, of the arm that is claimed
    about."""
    dead = sum(flag.flag == "dead_branch" for flag in view.flags)
    if dead:
        return f"{plural(dead, 'branch')} {'does' if dead == 1 else 'do'} nothing: see the flags."
    arms = [row.arm for row in view.find("branch_without")]
    arm = next((name for name in (view.challenger, view.winner, *arms) if name in arms), None)
    rows = [row for row in view.find("branch_without") if row.arm == arm and defined(row) is not None]
    if not rows:
        return "What each branch of the fused arms does alone."
    told = ", ".join(f"without {row.provenance.get('branch')} {spell(row, interval=False)}" for row in rows[:MOST_TOLD])
    return f"No branch is dead; of held rows {arm} answers right {told}."
