"""How fast training gets there; without it "trains faster" would forget the runs that never arrive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.figures import scaled, usual
from transfuse.report.blocks import Block, Chart, Column, Heading, Row, Span, Table, Text
from transfuse.report.charts import arrivals, chart, curves
from transfuse.report.numbers import spell, unit
from transfuse.report.pieces import first_some
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

ORDER = 72
CLOCKS = {
    "time_to_target_items": "training items gone through",
    "time_to_target_flops": "training compute from a cold start, FLOP",
    "time_to_target_flops_warm": "training compute with features kept, FLOP",
}
STOPPED = "Means over the runs; one that has stopped counts with its last value."
CURVES = {"items": "training items gone through (logarithmic)", "flops": "training compute, FLOP (logarithmic)"}


def blocks(view: View) -> list[Block]:
    """Training curves over items and over compute, then when each run reached the target that was fixed beforehand, and
    how much faster than the best single and than what starts from nothing."""
    curved = view.find("training_curve")
    drawn = [drawing for clock in CURVES if (drawing := _curves(view, curved, clock)) is not None]
    timed = [drawing for name in CLOCKS if (drawing := _arrivals(view, name)) is not None]
    tables = _tables(view)
    if not drawn and not timed and not tables:
        return []
    told = "Measured on the selection rows while training; it explains, it does not decide."
    finding = (
        timed[0].finding if timed else drawn[0].finding if drawn else "How long training took to reach the target."
    )
    return [
        Heading("How fast training gets there", "training", "Training", finding, folded=True),
        *drawn,
        Text((told,)),
        *timed,
        *tables,
    ]


def _curves(view: View, rows: tuple[Evidence, ...], clock: str) -> Chart | None:
    chosen = [name for name in (view.challenger, view.best_single, view.winner) if name]
    lines, first = [], None
    for arm in first_some((row.arm for row in rows), chosen, curves.MOST):
        row = next(row for row in rows if row.arm == arm)
        x, y = (tuple(map(float, row.provenance.get(key) or ())) for key in (clock, "values"))
        pairs = [(a, b) for a, b in zip(x, y, strict=False) if a > 0]
        if len(pairs) > 1:
            first = first or row
            lines.append(curves.Line(arm, *map(tuple, zip(*pairs, strict=True))))
    if first is None:
        return None
    measured = quantity(str(first.provenance.get("metric") or view.metric)).title
    target = next((row.provenance.get("target") for row in view.all("time_to_target_items")), None)
    level = (float(target), f"target {target:g}") if isinstance(target, int | float) else None
    up = f"{measured}{f', {unit(first)}' if unit(first) else ''}"
    plane = curves.Plane(CURVES[clock], up, log=True, counted=True, marks=False, level=level)
    told = "; ".join(
        f"{line.label}: from {usual(line.y[0], 3)} to {usual(line.y[-1], 3)} after {scaled(line.x[-1])}"
        for line in lines
    )
    pick = min if first.direction == "lower" else max
    best = pick(lines, key=lambda line: pick(line.y))
    left_out = len(rows) - len(lines)
    more = f" {left_out} more arms are in the evidence." if left_out > 0 else ""
    of = "items" if clock == "items" else "compute"
    return chart(
        lambda width: curves.draw(width, lines, plane),
        finding=f"Over {of}, {best.label} comes furthest in {measured}: {usual(pick(best.y), 3)}.",
        caption=f"{first.direction.capitalize()} is better. {STOPPED}{more}",
        summary=f"{measured} against {CURVES[clock]}. {told}.",
        rows=[row for row in rows if row.arm in {line.label for line in lines}],
    )


def _arrivals(view: View, name: str) -> Chart | None:
    rows = [row for row in view.all(name) if isinstance(row.provenance.get("by_run"), Mapping)]
    if not rows:
        return None
    target = rows[0].provenance.get("target")
    drawn = [_arrival(row) for row in rows]
    ranked = sorted((row.value, row.arm) for row in rows if not isinstance(row.value, Undefined))
    never = sum(len(each.watched) for each in drawn)
    first = f"{ranked[0][1]} reaches {target:g} first" if ranked and isinstance(target, int | float) else ""
    total = sum(len(each.watched) + len(each.reached) for each in drawn)
    lost = f"{never} of {total} runs never get there" if never else f"all {total} runs get there"
    finding = f"{'; '.join(filter(None, [first, lost]))}."
    return chart(
        lambda width: arrivals.draw(width, drawn, CLOCKS[name]),
        finding=finding,
        caption="A disc is a run that reached the target, an open arrow one that was watched so long and did not; the "
        "bar is the mean time, in which those count as long as they were watched. Left is faster.",
        summary=f"{quantity(name).title} at the target {target}. "
        + "; ".join(f"{each.label}: {each.words}" for each in drawn)
        + ".",
        rows=rows,
    )


def _arrival(row: Evidence) -> arrivals.Arrival:
    times: Mapping[str, Any] = row.provenance["by_run"]
    horizon = float(row.provenance.get("horizon") or 0.0)
    reached = tuple(float(time) for time in times.values() if isinstance(time, int | float))
    watched = (horizon,) * (len(times) - len(reached))
    mean = None if isinstance(row.value, Undefined) else row.value
    words = f"{len(reached)} of {len(times)}" + (f", mean {spell(row, interval=False)}" if mean is not None else "")
    return arrivals.Arrival(row.arm, reached, watched, mean, words)


def _tables(view: View) -> list[Table]:
    """One table for each arm that others run against: the best single, and whoever starts from nothing."""
    found = view.all("speed_up")
    bases = dict.fromkeys(row.versus for row in found)
    return [_table(view, [row for row in found if row.versus == base]) for base in bases]


def _table(view: View, rows: list[Evidence]) -> Table:
    clocks = list(dict.fromkeys(str(row.provenance.get("clock")) for row in rows))
    titles = {"items": "by items", "flops": "by compute", "warm_flops": "by compute, features kept"}
    arms = list(dict.fromkeys(row.arm for row in rows))
    known = {(row.arm, str(row.provenance.get("clock"))): row for row in rows}
    columns = (Column("Arm"), *(Column(titles.get(clock, clock), "higher is better", numeric=True) for clock in clocks))
    lines = tuple(
        Row((Span(arm, tone="name"), *(view.cell(known.get((arm, clock))) for clock in clocks)), arm == view.winner)
        for arm in arms
    )
    return Table(f"How many times faster than {rows[0].versus} the target is reached", columns, lines)
