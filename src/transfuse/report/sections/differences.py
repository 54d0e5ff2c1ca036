"""The claimed differences with their uncertainty; without it "better" would be a word and not a distance."""

from __future__ import annotations

from transfuse.report import charts
from transfuse.report.blocks import Block, Chart, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import better, fixed, quantity, shown, spell, unit
from transfuse.report.view import View
from transfuse.report.words import STATUS, listed
from transfuse.types import Claim, Evidence, Undefined

ORDER = 40


def blocks(view: View) -> list[Block]:
    """For each claimed quantity a forest plot with the margin's band, then all differences in one table."""
    if not view.claims:
        return []
    names = sorted(dict.fromkeys(claim.quantity for claim in view.claims), key=lambda name: name != view.metric)
    drawn = [chart for place, name in enumerate(names) if (chart := _forest(view, name, place)) is not None]
    return [
        Heading("How large the differences are", "differences", "Differences"),
        Text((_explained(view),)),
        *drawn,
        _table(view),
    ]


def _explained(view: View) -> str:
    arms = listed(list(dict.fromkeys(claim.arm for claim in view.claims)))
    return (
        f"Each line compares {arms} with one other arm on the same items. "
        "The dot is the difference, the line its 95 % interval: "
        "where it crosses zero, these data do not tell which arm is better."
    )


def _forest(view: View, name: str, place: int) -> Chart | None:
    found = [
        (claim, row) for claim in view.claims if claim.quantity == name and (row := view.claimed(claim)) is not None
    ]
    pairs = [(claim, row, row.value) for claim, row in found if not isinstance(row.value, Undefined)]
    if not pairs:
        return None
    first = pairs[0][1]
    margin = _margin(view, first)
    several = len({claim.arm for claim, _, _ in pairs}) > 1
    marks = [_mark(claim, row, value, several) for claim, row, value in pairs]
    measure = f"{quantity(name).title}, {unit(first)}" if unit(first) else quantity(name).title
    axis = f"difference in {measure}"
    svg = charts.forest(
        marks, name=f"forest-{place}", axis=axis, margin=margin, lower_is_better=first.direction == "lower"
    )
    band = " The shaded band is the margin: differences inside it do not matter here." if margin else ""
    summary = "; ".join(
        f"{claim.arm} against {claim.versus}: {spell(row)}, {STATUS[claim.status].lower()}" for claim, row, _ in pairs
    )
    return Chart(
        svg,
        f"Difference in {quantity(name).title}; right is better.{band}",
        f"{axis}, {better(first.direction)}. {summary}.",
    )


def _mark(claim: Claim, row: Evidence, value: float, several: bool) -> charts.Mark:
    low, high = (None if end is None else shown(row, end) for end in (row.low, row.high))
    label = f"{claim.arm} − {claim.versus}" if several else f"against {claim.versus}"
    return charts.Mark(label, shown(row, value), low, high, claim.status)


def _margin(view: View, row: Evidence) -> float | None:
    """The margin on the row's scale: the row's own, else the run's when it is for this quantity."""
    own = row.provenance.get("margin")
    if isinstance(own, int | float):
        return shown(row, float(own))
    fits = ((view.setup.get("margin") or {}).get("metric") or view.metric) == row.quantity
    return shown(row, view.margin) if fits and view.margin is not None else None


def _table(view: View) -> Table:
    columns = (
        Column("Comparison"),
        Column("Measure", "which side is better"),
        Column("Verdict"),
        Column("Difference", "95 % interval", numeric=True),
        Column("Smallest effect", "that 4 of 5 such tests would show", numeric=True),
    )
    return Table("Every claim with its number", columns, tuple(_row(view, claim) for claim in view.claims))


def _row(view: View, claim: Claim) -> Row:
    row = view.claimed(claim)
    measure = f"{quantity(claim.quantity).title} ({better(row.direction)})" if row else quantity(claim.quantity).title
    return Row((
        Span(f"{claim.arm} against {claim.versus}", tone="name"),
        Span(measure),
        Span(STATUS[claim.status], view.known(claim.evidence), tone=claim.status),
        view.cell(row, with_unit=True),
        _detectable(row),
    ))  # fmt: skip


def _detectable(row: Evidence | None) -> Span:
    effect = row.provenance.get("detectable_effect") if row else None
    if row is None or not isinstance(effect, int | float):
        return Span("–", tone="muted")
    number = shown(row, float(effect))
    return Span(f"{fixed(number, 1 if unit(row) in ('points', '%') else 3)} {unit(row)}".rstrip(), (row.id,))
