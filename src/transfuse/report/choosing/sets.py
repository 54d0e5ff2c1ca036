"""What sets of sources are worth together; without it a pair would be picked as two good singles."""

from __future__ import annotations

from transfuse.report.blocks import Block, Chart, Column, Heading, Row, Span, Table, Text, Tone
from transfuse.report.charts import chart, forest
from transfuse.report.numbers import better, spell
from transfuse.report.pieces import count_of
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

ORDER = 30
LOSS = "probe_log_loss"
MOST_MARKS = 24


def blocks(view: View) -> list[Block]:
    """Each pair against the best single as a forest plot, and every probed set in a table."""
    pairs = [row for row in view.find(LOSS) if row.versus and len(row.provenance.get("of") or ()) == 2]
    if not pairs:
        return []
    told = (
        "Each pair against the best source of all, picked in hindsight: of many pairs some look good by luck. "
        "The answer at the top chooses pair and single on other rows than it judges them on."
    )
    found: list[Block] = [Heading("Sources together", "sets", "Sets"), Text((told,))]
    chart = _forest(pairs)
    return [*found, *([chart] if chart else []), _table(view)]


def _forest(pairs: list[Evidence]) -> Chart | None:
    known = [(row, row.value) for row in pairs if not isinstance(row.value, Undefined)]
    known = sorted(known, key=lambda pair: pair[1])[:MOST_MARKS]
    if not known:
        return None
    marks = [
        forest.Mark(row.arm, value, row.low, row.high, _tone(row), spell(row, with_unit=False)) for row, value in known
    ]
    best = known[0][0].versus
    axis = f"difference in {quantity(LOSS).title} to {best}, nats"
    look = forest.Look(axis, lower_is_better=True)
    gains = [row.arm for row, _ in known if _tone(row) == "better"]
    return chart(
        lambda width: forest.draw(width, marks, look),
        finding=f"In hindsight {count_of(len(gains), len(known), 'pairs')} are shown better than {best}.",
        caption=f"Pairs against {best}; right is better",
        summary=f"{axis}, {better('lower')}. {'; '.join(f'{row.arm}: {spell(row)}' for row, _ in known)}.",
    )


def _tone(row: Evidence) -> Tone:
    if row.low is None or row.high is None:
        return "not shown"
    return "better" if row.high < 0 else "worse" if row.low > 0 else "not shown"


def _table(view: View) -> Table:
    levels = [row for row in view.find(LOSS) if row.versus is None and len(row.provenance.get("of") or ()) > 1]
    levels.sort(key=lambda row: (isinstance(row.value, Undefined), row.value if isinstance(row.value, float) else 0.0))
    columns = (
        Column("Set"),
        view.column(LOSS),
        view.column("probe_accuracy"),
        Column("LogME", "of all features; grows with columns", numeric=True),
        Column("E-LEEP", "of averaged answers", numeric=True),
    )
    rows = tuple(
        Row(
            (
                Span(row.arm, tone="name"),
                view.cell(row),
                view.cell(view.level(row.arm, "probe_accuracy")),
                view.cell(view.level(row.arm, "score_logme")),
                view.cell(view.level(row.arm, "score_e_leep")),
            ),
            row.arm == view.winner,
        )
        for row in levels
    )
    return Table("Every probed set, best first", columns, rows)
