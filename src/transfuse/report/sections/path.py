"""The straight way between two merged sources; without it a bad merge would not say whether its ends are to blame."""

from __future__ import annotations

from transfuse.report.blocks import Block, Chart, Column, Heading, Row, Span, Table, Text
from transfuse.report.charts import chart, curves
from transfuse.report.numbers import fixed
from transfuse.report.pieces import defined
from transfuse.report.view import View
from transfuse.types import Evidence

ORDER = 77
NAMES = ("barrier_line", "barrier_ends")


def blocks(view: View) -> list[Block]:
    """One drawing an arm, and how high each view of its way rises."""
    rows = view.find("barrier_line")
    if not rows:
        return []
    told = (
        "Log-loss of 25 mixtures of both sources' weights, as aligned where they were, on selection rows: as they are "
        "and, where there is BatchNorm, with its statistics estimated anew; each also at a temperature fitted at that "
        "point (tempered), since mixing changes how sure a network is. It explains, nothing was chosen by it."
    )
    columns = (Column("Merge"), Column("View"), *(view.column(name) for name in NAMES))
    cells = {(row.quantity, row.arm, row.provenance.get("view")): row for name in NAMES for row in view.find(name)}
    lines = tuple(
        Row((
            Span(row.arm, tone="name"),
            Span(str(row.provenance.get("view"))),
            *(view.cell(cells.get((name, row.arm, row.provenance.get("view")))) for name in NAMES),
        ))
        for row in rows
    )  # fmt: skip
    drawn = [
        drawing for arm in dict.fromkeys(row.arm for row in rows) if (drawing := _way(view, rows, arm)) is not None
    ]
    heading = Heading("The way between merged sources", "path", "Way", _finding(rows), folded=True)
    return [heading, Text((told,)), *drawn, Table("How high the way rises", columns, lines)]


def _way(view: View, rows: tuple[Evidence, ...], arm: str) -> Chart | None:
    own = [row for row in rows if row.arm == arm and row.provenance.get("losses")]
    lines = [
        curves.Line(str(row.provenance["view"]), tuple(row.provenance["shares"]), tuple(row.provenance["losses"]))
        for row in own
    ]
    if not lines:
        return None
    told = "; ".join(
        f"{line.label}: from {fixed(line.y[0], 3)} over {fixed(max(line.y), 3)} to {fixed(line.y[-1], 3)} nats"
        for line in lines
    )
    first, second = _ends(view, arm)
    plane = curves.Plane(f"share of {second}", "log-loss, nats", marks=False, zero=True, x_limits=(0.0, 1.0))
    rows_of = f"{own[0].n} selection rows" if own[0].n else "Selection rows"
    runs = f", mean over {own[0].seeds} runs" if own[0].seeds > 1 else ""
    return chart(
        lambda width: curves.draw(width, lines, plane),
        finding=f"{arm}: log-loss on the way from {first} to {second}.",
        caption=f"{rows_of}{runs}.",
        summary=told,
        rows=own,
    )


def _ends(view: View, arm: str) -> tuple[str, str]:
    """What the two sources are called."""
    members = view.arm(arm).get("members") or ()
    return (str(members[0]), str(members[1])) if len(members) == 2 else ("the first source", "the second")


def _finding(rows: tuple[Evidence, ...]) -> str:
    known = [(value, row) for row in rows if (value := defined(row)) is not None]
    if not known:
        return "What lies between the sources that were merged."
    value, row = max(known, key=lambda pair: pair[0])
    if value < 0.005:
        return "Nowhere on the way does log-loss rise above the line between its ends."
    rise = f"log-loss rises {fixed(value, 3)} nats above the line between its ends"
    return f"{row.arm}, {row.provenance.get('view')}: {rise}."
