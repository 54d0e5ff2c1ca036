"""How much an arm learns from how few rows; without it "the fusion saves labels" would be a hope."""

from __future__ import annotations

from transfuse.figures import usual
from transfuse.report.blocks import Block, Chart, Column, Heading, Row, Span, Table, Text
from transfuse.report.charts import chart, curves
from transfuse.report.numbers import spell, unit
from transfuse.report.pieces import defined, ends, first_some
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

ORDER = 70
GAINS = ("data_multiplier", "transfer_ratio", "jump_start", "asymptote")


def blocks(view: View) -> list[Block]:
    """Learning curves over the number of training rows, and what the arms gain over the best single along them."""
    rows = view.find("data_efficiency")
    if not rows:
        return []
    drawing = _curves(view, rows)
    told = (
        "The same arms trained on nested shares of the rows, judged on the selection rows; this explains, it does not "
        "decide. The multiplier is read off falling curves and never beyond what was trained."
    )
    finding = _finding(view) or (drawing.finding if drawing else "Arms after training on fewer rows.")
    return [
        Heading("Learning from fewer rows", "learning", "Learning", finding, folded=True),
        *([drawing] if drawing else []),
        Text((told,)),
        *_table(view),
    ]


def _finding(view: View) -> str:
    row = next(iter(view.find("data_multiplier", arm=view.challenger)), None)
    if row is None:
        return ""
    if isinstance(row.value, Undefined):
        return f"How many rows {row.arm} saves is undefined: {row.value.reason}."
    target, what = row.provenance.get("target"), str(row.provenance.get("target_is") or "the target")
    if isinstance(target, int | float) and what.startswith("fixed"):
        what = f"the target of {target:.4g}, {what}"
    times = spell(row, interval=False).removesuffix("×").strip()
    return f"{row.versus} needs {times} times as many rows as {row.arm} to reach {what}."


def _curves(view: View, rows: tuple[Evidence, ...]) -> Chart | None:
    chosen = [name for name in (view.challenger, view.best_single, view.winner) if name]
    arms = first_some((row.arm for row in rows), chosen, curves.MOST)
    lines = []
    for arm in arms:
        own = [(row, value) for row in rows if row.arm == arm and (value := defined(row)) is not None]
        if own and all(isinstance(row.provenance.get("rows"), int | float) for row, _ in own):
            own.sort(key=lambda pair: pair[0].provenance["rows"])
            low, high = zip(*(ends(row) for row, _ in own), strict=True)
            x, y = tuple(float(row.provenance["rows"]) for row, _ in own), tuple(value for _, value in own)
            lines.append(curves.Line(arm, x, y, low, high))
    if not lines or len({x for line in lines for x in line.x}) < 2:
        return None
    first = rows[0]
    measured = quantity(str(first.provenance.get("metric") or view.metric)).title
    plane = curves.Plane(
        "training rows (logarithmic)", f"{measured}{f', {unit(first)}' if unit(first) else ''}", log=True
    )
    told = "; ".join(
        f"{line.label}: {', '.join(f'{usual(y, 3)} at {x:,.0f} rows' for x, y in zip(line.x, line.y, strict=True))}"
        for line in lines
    )
    left_out = len({row.arm for row in rows}) - len(lines)
    more = f" {left_out} more arms are in the evidence." if left_out > 0 else ""
    return chart(
        lambda width: curves.draw(width, lines, plane),
        finding=_leader(lines, first.direction == "lower"),
        caption=f"{first.direction.capitalize()} is better. Bars are 95 % intervals over the runs.{more}",
        summary=f"{measured} against the number of training rows. {told}.",
        rows=[row for row in rows if row.arm in {line.label for line in lines}],
    )


def _leader(lines: list[curves.Line], lower: bool) -> str:
    pick = min if lower else max
    starts, finals = (pick(lines, key=lambda line, end=end: line.y[end]) for end in (0, -1))
    few = min(line.x[0] for line in lines)
    if starts is finals:
        return f"{starts.label} leads from {few:,.0f} rows to all of them."
    return f"{starts.label} leads with {few:,.0f} rows, {finals.label} with all of them."


def _table(view: View) -> list[Block]:
    names = [name for name in ("aulc", *GAINS) if view.find(name)]
    arms = list(dict.fromkeys(row.arm for name in names for row in view.find(name)))
    if not arms:
        return []
    columns = (Column("Arm"), *(_column(view, name) for name in names))
    rows = tuple(
        Row(
            (Span(arm, tone="name"), *(view.cell(next(iter(view.find(name, arm=arm)), None)) for name in names)),
            arm == view.winner,
        )
        for arm in arms
    )
    versus = next((row.versus for name in GAINS for row in view.find(name)), None)
    beside = f", and beside {versus}" if versus else ""
    return [Table(f"Over all sizes{beside}", columns, rows)]


def _column(view: View, name: str) -> Column:
    row = view.find(name)[0]
    hint = ", ".join(filter(None, [unit(row), f"{row.direction} is better"]))
    return Column(quantity(name).title, hint, numeric=True)
