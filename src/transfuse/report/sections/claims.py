"""Every comparison in words and numbers; without it only the deciding one would be told."""

from __future__ import annotations

from transfuse.figures import plural, roughly, usual
from transfuse.report.blocks import Block, Callout, Callouts, Column, Heading, Prose, Row, Span, Table, Text
from transfuse.report.claimed import told
from transfuse.report.numbers import better, shown, unit
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import STATUS, STATUS_MEANING, what
from transfuse.types import Claim, Evidence

ORDER = 34


def blocks(view: View) -> list[Block]:
    """A box a pair, then every claim with its number, the smallest effect it could show, and what would settle it."""
    pairs = list(dict.fromkeys((claim.arm, claim.versus) for claim in view.claims))
    if not pairs:
        return []
    used = [status for status in STATUS if any(claim.status == status for claim in view.claims)]
    legend = "; ".join(f"{STATUS[status].lower()} = {STATUS_MEANING[status]}" for status in used)
    shown_count = sum(claim.status != "not shown" for claim in view.claims)
    finding = f"{plural(len(view.claims), 'claim')}, {shown_count} of them shown; the rest with what would settle them."
    return [
        Heading("Every comparison in words", "claims", "Claims", finding, folded=True),
        Callouts(tuple(_comparison(view, arm, versus) for arm, versus in pairs)),
        Text((f"How to read this: {legend}.",)),
        _table(view),
    ]


def _comparison(view: View, arm: str, versus: str) -> Callout:
    """All claims of one pair in one box, the deciding metric first."""
    claims = [claim for claim in view.claims if (claim.arm, claim.versus) == (arm, versus)]
    claims.sort(key=lambda claim: claim.quantity != view.metric)
    first, *others = claims
    rival = "the best single model" if versus == view.best_single else what(view.arm(versus) or {"name": versus})
    return Callout(
        label=f"{STATUS[first.status]} in {quantity(first.quantity).title}",
        title=f"{arm} against {versus}",
        hint=rival,
        body=(_sentence(view, first), *(_aside(view, claim) for claim in others)),
        evidence=view.known(dict.fromkeys(name for claim in claims for name in claim.evidence)),
        tone=first.status,
    )


def _aside(view: View, claim: Claim) -> Prose:
    """A claim on another quantity than the deciding one, led by that quantity's name in the colour of its status."""
    name = quantity(claim.quantity).title
    return (Span(f"{name[:1].upper()}{name[1:]}: ", tone=claim.status), *told(view, claim))


def _sentence(view: View, claim: Claim) -> Prose:
    """The deciding claim in its own words, as a sentence of its own."""
    first, *rest = told(view, claim)
    return (first[:1].upper() + first[1:] if isinstance(first, str) else first, *rest)


def _table(view: View) -> Table:
    columns = (
        Column("Comparison"),
        Column("Measure", "which side is better"),
        Column("Verdict"),
        Column("Difference", "95 % interval", numeric=True),
        Column("Smallest effect", "that 4 of 5 such tests would show", numeric=True),
        Column("Would settle it", "judged items, or runs, in all", numeric=True),
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
        _settling(row, claim),
    ))  # fmt: skip


def _detectable(row: Evidence | None) -> Span:
    effect = row.provenance.get("detectable_effect") if row else None
    if row is None or not isinstance(effect, int | float):
        return Span("–", tone="muted")
    number = shown(row, float(effect))
    return Span(f"{usual(number, 1 if unit(row) in ('points', '%') else 3)} {unit(row)}".rstrip(), (row.id,))


def _settling(row: Evidence | None, claim: Claim) -> Span:
    """How many items or runs would settle an open claim at the difference seen; `–` where it is settled."""
    if row is None or claim.status != "not shown":
        return Span("–", tone="muted")
    found = [
        plural(roughly(count), noun)
        for key, noun in (("settling_items", "item"), ("settling_runs", "run"))
        if isinstance(count := row.provenance.get(key), int)
    ]
    return Span(" or ".join(found), (row.id,)) if found else Span("neither alone", tone="muted")
