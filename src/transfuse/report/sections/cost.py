"""Quality against cost; without it the largest arm would always look best."""

from __future__ import annotations

from transfuse.report.blocks import Block, Chart, Column, Heading, Row, Span, Table, Text
from transfuse.report.charts import chart, trade
from transfuse.report.numbers import shown, spell
from transfuse.report.pieces import measure
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import listed
from transfuse.types import Evidence, Undefined

ORDER = 36
COUNTED = ("inference_flops", "parameters", "stored_bytes", "train_flops")
ENOUGH = 4
TIMED = ("latency_p50_ms", "latency_p95_ms", "peak_memory_mb", "wall_seconds")


def blocks(view: View) -> list[Block]:
    """The chart of quality over counted compute, then counted and timed cost in one table."""
    counted = [name for name in COUNTED if view.find(name)]
    timed = [name for name in TIMED if view.find(name)]
    if not counted and not timed:
        return []
    drawing = drawn(view)
    finding = drawing.finding if drawing else "What each arm costs."
    found: list[Block] = [Heading("Quality against cost", "cost", "Cost", finding, folded=True)]
    found += [drawing] if drawing else []
    said = "Compute, parameters and training are counted, so they are the same on every machine. "
    said += (
        "Times and memory were taken on this machine and will differ elsewhere; the verdict does not rest on them."
        if timed
        else "No time or memory was measured in this run."
    )
    return [*found, Text((said,)), _table(view, [*counted, *timed])]


def _table(view: View, names: list[str]) -> Table:
    arms = [str(arm["name"]) for arm in view.arms if any(view.level(str(arm["name"]), name) for name in names)]
    rows = tuple(
        Row(
            (Span(arm, tone="name"), *(view.cell(view.level(arm, name), with_unit=True) for name in names)),
            arm == view.winner,
        )
        for arm in arms
    )
    columns = (Column("Arm"), *(Column(quantity(name).title, numeric=True) for name in names))
    return Table("What each arm costs; lower is better throughout", columns, rows)


def drawn(view: View, count: str = "inference_flops") -> Chart | None:
    """Quality over a counted cost: compute, or another one, of which the numbers as they stand make the front."""
    quality = "accuracy" if view.find("accuracy") else view.metric
    placed = _near(_levels(view, quality, count), view.winner)
    if len(placed) < 2:
        return None
    sample = placed[0][2]
    lower = sample.direction == "lower"
    judged = count == "inference_flops"
    front = _front(view, placed, lower) if judged else _by_numbers(view, placed, lower)
    what = "compute per item" if judged else quantity(count).title
    points = [_point(view, name, cost, row, name in front) for name, cost, row in placed]
    unit = "FLOP" if judged else placed[0][1].unit
    axes = trade.Axes(f"{what}, {unit} (logarithmic; left is cheaper)", measure(sample), lower)
    left_out = [str(arm["name"]) for arm in view.arms if str(arm["name"]) not in {name for name, _, _ in placed}]
    absent = f" Not drawn, because far off or without a value or any cost: {listed(left_out)}." if left_out else ""
    caption = (
        "Diamonds are fusions, discs what they have to beat, squares controls; hollow and grey is what another arm "
        "dominates or what never ships, the ring is what to ship. The dashed line joins what is worth its cost; "
        f"bars are 95 % intervals.{absent}"
    )
    told = "; ".join(f"{name}: {spell(row, interval=False)} at {spell(cost)}" for name, cost, row in placed)
    return chart(
        lambda width: trade.draw(width, points, axes),
        finding=_finding(view, front) if judged else f"Of {what}, worth their cost: {listed(sorted(front))}.",
        caption=caption,
        summary=f"{measure(sample)}, against {what}. {told}.",
        rows=[row for _, cost, level in placed for row in (cost, level)],
    )


def _front(view: View, placed: list[tuple[str, Evidence, Evidence]], lower: bool) -> set[str]:
    """The arms that nothing dominates: as the evidence has judged it, else by the numbers as they stand."""
    rows = view.find("pareto")
    if rows:
        return {row.arm for row in rows if row.value == 1.0}
    return _by_numbers(view, placed, lower)


def _by_numbers(view: View, placed: list[tuple[str, Evidence, Evidence]], lower: bool) -> set[str]:
    return pareto({name: (_number(cost), _number(row)) for name, cost, row in placed if _ships(view, name)}, lower)


def _finding(view: View, front: set[str]) -> str:
    by = next((row.provenance.get("by") or [] for row in view.find("pareto") if row.arm == view.winner), [])
    names = listed(sorted(front)) if len(front) <= 4 else f"{len(front)} arms"
    if by:
        beaten = listed([str(name) for name in by])
        return f"Worth their cost: {names}. What ships, {view.winner}, is dominated by {beaten}."
    if not front:
        return "No arm is worth its cost beside the others."
    judged = len(view.find("pareto"))
    if len(front) == judged:
        return f"None of the {judged} arms that may ship is shown to be dominated: each buys something with its cost."
    its = "its" if len(front) == 1 else "their"
    return f"Worth {its} cost: {names}. Every other arm that may ship is matched or beaten by one that costs no more."


def _levels(view: View, quality: str, count: str) -> list[tuple[str, Evidence, Evidence]]:
    """Name, cost and quality of the arms that have a place on a logarithmic axis."""
    names = [str(arm["name"]) for arm in view.arms]
    pairs = [(name, view.level(name, count), view.level(name, quality)) for name in names]
    return [
        (name, cost, row)
        for name, cost, row in pairs
        if cost is not None and row is not None and _number(cost) > 0 and not isinstance(row.value, Undefined)
    ]


def _near(placed: list[tuple[str, Evidence, Evidence]], winner: str) -> list[tuple[str, Evidence, Evidence]]:
    """Without the arms behind a gap wider than all the others' spread, which would press those into one line."""
    if len(placed) <= ENOUGH:
        return placed
    sign = -1.0 if placed[0][2].direction == "lower" else 1.0
    ranked = sorted(placed, key=lambda item: -sign * _number(item[2]))
    heights = [sign * _number(row) for _, _, row in ranked]
    widest = max(range(ENOUGH, len(ranked)), key=lambda place: heights[place - 1] - heights[place])
    far = {name for name, _, _ in ranked[widest:]}
    if winner in far or heights[widest - 1] - heights[widest] <= heights[0] - heights[widest - 1]:
        return placed
    return [item for item in placed if item[0] not in far]


def _point(view: View, name: str, cost: Evidence, row: Evidence, front: bool) -> trade.Point:
    low, high = (None if end is None else shown(row, end) for end in (row.low, row.high))
    role = str(view.arm(name).get("role"))
    return trade.Point(name, _number(cost), shown(row, _number(row)), low, high, role, front, name == view.winner)


def _ships(view: View, name: str) -> bool:
    return view.arm(name).get("role") in ("candidate", "baseline") and name != "prior"


def _number(row: Evidence) -> float:
    return 0.0 if isinstance(row.value, Undefined) else row.value


def pareto(levels: dict[str, tuple[float, float]], lower_is_better: bool) -> set[str]:
    """Names from {name: (cost, value)} that no other surpasses at the same or a lower cost."""
    sign = -1.0 if lower_is_better else 1.0
    return {
        name
        for name, (cost, value) in levels.items()
        if not any(c <= cost and sign * v >= sign * value and (c, v) != (cost, value) for c, v in levels.values())
    }
