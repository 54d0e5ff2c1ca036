"""The claimed differences with their uncertainty; without it "better" would be a word and not a distance."""

from __future__ import annotations

from transfuse.figures import plural
from transfuse.report.blocks import Block, Chart, Heading, Text
from transfuse.report.charts import chart, forest
from transfuse.report.numbers import better, shown, spell
from transfuse.report.pieces import ends, marked, measure
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import STATUS, listed
from transfuse.types import Claim, Evidence, Undefined

ORDER = 20


def blocks(view: View) -> list[Block]:
    """For each claimed quantity a forest plot with the margin's band, the deciding one first."""
    names = sorted(dict.fromkeys(claim.quantity for claim in view.claims), key=lambda name: name != view.metric)
    drawn = [drawing for name in names if (drawing := _forest(view, name)) is not None]
    if not drawn:
        return []
    return [Heading("How large the differences are", "differences", "Differences"), Text((_explained(view),)), *drawn]


def _explained(view: View) -> str:
    arms = listed(list(dict.fromkeys(claim.arm for claim in view.claims)))
    return (
        f"Each line compares {arms} with one other arm on the same items. "
        f"The mark is the difference, the line its 95 % interval{_method(view)}: "
        "where it crosses zero, these data do not tell which arm is better."
    )


def _method(view: View) -> str:
    """How the deciding intervals were made, and from how much."""
    rows = (view.claimed(claim) for claim in view.claims if claim.quantity == view.metric)
    row = next((row for row in rows if row is not None and row.low is not None), None)
    if row is None or not row.method:
        return ""
    runs = f", {plural(row.seeds, 'run')}" if row.seeds > 1 else ""
    return f" ({row.method}; {plural(row.n, 'item')}{runs})"


def _forest(view: View, name: str) -> Chart | None:
    found = [
        (claim, row) for claim in view.claims if claim.quantity == name and (row := view.claimed(claim)) is not None
    ]
    pairs = [(claim, row, row.value) for claim, row in found if not isinstance(row.value, Undefined)]
    if not pairs:
        return None
    first = pairs[0][1]
    margin = _margin(view, first)
    several = len({claim.arm for claim, _, _ in pairs}) > 1
    marks = [_mark(view, claim, row, value, several) for claim, row, value in pairs]
    axis = f"difference in {measure(first)}"
    look = forest.Look(axis, margin, lower_is_better=first.direction == "lower")
    band = " The shaded band is the margin: differences inside it do not matter here." if margin else ""
    beyond = " An arrow: the interval runs on, as far as the numbers say." if forest.cut(marks, look) else ""
    shapes = "Triangles up are shown better, down shown worse, squares equivalent, hollow discs not shown."
    summary = "; ".join(
        f"{claim.arm} against {claim.versus}: {spell(row)}, {STATUS[claim.status].lower()}" for claim, row, _ in pairs
    )
    return chart(
        lambda width: forest.draw(width, marks, look),
        finding=_finding([claim for claim, _, _ in pairs], name),
        caption=f"Difference in {quantity(name).title}; right is better.{band} {shapes}{beyond}",
        summary=f"{axis}, {better(first.direction)}. {summary}.",
        rows=[row for _, row, _ in pairs],
    )


def _finding(claims: list[Claim], name: str) -> str:
    """What the chart says: against whom something is shown, in the order of the statuses."""
    arms = list(dict.fromkeys(claim.arm for claim in claims))
    said = []
    for status in STATUS:
        rivals = [
            claim.versus if len(arms) == 1 else f"{claim.arm} against {claim.versus}"
            for claim in claims
            if claim.status == status
        ]
        if rivals:
            against = "either way against" if status == "not shown" else "to" if status == "equivalent" else "than"
            joined = listed(rivals) if len(rivals) <= 3 else f"{len(rivals)} others"
            said.append(
                f"{STATUS[status].lower()} {against} {joined}"
                if len(arms) == 1
                else f"{STATUS[status].lower()}: {joined}"
            )
    title = quantity(name).title
    opening = f"In {title}, {arms[0]} is " if len(arms) == 1 else f"In {title}: "
    return f"{opening}{'; '.join(said)}."


def _mark(view: View, claim: Claim, row: Evidence, value: float, several: bool) -> forest.Mark:
    low, high = ends(row)
    rival = marked(view, claim.versus)
    name = f"{claim.arm} − {rival}" if several else f"against {rival}"
    return forest.Mark(name, shown(row, value), low, high, claim.status, spell(row, with_unit=False))


def _margin(view: View, row: Evidence) -> float | None:
    """The margin on the row's scale: the row's own, else the run's when it is for this quantity."""
    own = row.provenance.get("margin")
    if isinstance(own, int | float):
        return shown(row, float(own))
    fits = ((view.setup.get("margin") or {}).get("metric") or view.metric) == row.quantity
    return shown(row, view.margin) if fits and view.margin is not None else None
