"""How far each score agrees with the probe; without it a score would be trusted because it is printed."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.view import View
from transfuse.types import Undefined

ORDER = 40


def blocks(view: View) -> list[Block]:
    """Weighted τ and regret of each score against the probe."""
    rows = view.find("score_tau")
    if not rows:
        return []
    told = (
        "Weighted τ is 1 where a score orders the sources as the probe does, −1 where it turns them round; "
        "exchanges among the best weigh most. Regret is the probe's log-loss that is lost by taking a score's first "
        "choice. With few sources both are coarse."
    )
    found: list[Block] = [Heading("Do the scores agree?", "agreement", "Agreement"), Text((told,))]
    if all(isinstance(row.value, Undefined) for row in rows):
        reasons = sorted({row.value.reason for row in rows if isinstance(row.value, Undefined)})
        return [*found, Text((f"Not here: {'; '.join(reasons)}.",))]
    columns = (Column("Score"), view.column("score_tau"), view.column("score_regret"))
    lines = tuple(
        Row(
            (
                Span(row.arm.replace("_", " "), tone="name"),
                *(
                    Span(cell.text, cell.evidence, note=cell.note if cell.text == "undefined" else "")
                    for cell in (view.cell(row), view.cell(view.level(row.arm, "score_regret")))
                ),
            )
        )
        for row in rows
    )
    return [*found, Table("Each score against the probe", columns, lines)]
