"""How alike the sources see; without it a second source that repeats the first would look like a new one."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import fixed, spell
from transfuse.report.pieces import defined
from transfuse.report.sections.diversity import matrix
from transfuse.report.view import View
from transfuse.types import Evidence

ORDER = 64


def blocks(view: View) -> list[Block]:
    """A heat map of debiased CKA between the sources' features, and what stitching two of them loses; descriptions,
    never an input to a decision."""
    rows, stitched = view.find("cka"), view.find("stitching_loss")
    if not rows:
        return [_heading(view), *_stitched(view)] if stitched else []
    names = sorted({name for row in rows for name in (row.arm, row.versus or "")})
    told = (
        "Features of the sources on rows apart from the judged ones: 1 where one is a turned and scaled copy of the "
        "other, about 0 where they have nothing in common. It can change while all answers stay, so it decides nothing."
    )
    few = Table(
        "Similarity of features, pair by pair",
        (Column("Pair"), Column("Debiased CKA", numeric=True)),
        tuple(Row((Span(f"{row.arm} and {row.versus}", tone="name"), view.cell(row))) for row in rows),
    )
    return [
        _heading(view),
        Text((told,)),
        matrix(view, "cka", names) if len(names) > 2 else few,
        *_stitched(view),
    ]


def _heading(view: View) -> Heading:
    return Heading("Do the sources see the same?", "similarity", "Similarity", _finding(view), folded=True)


def _stitched(view: View) -> list[Block]:
    """The loss of every stitch, with the accuracies it is the difference of."""
    rows = view.find("stitching_loss")
    if not rows:
        return []
    told = (
        "The front of one source is run into the tail of another through one new layer that was matched without "
        "labels. Little is lost where both halves speak of the same things; such sources share what they know."
    )
    columns = (
        Column("Front"),
        Column("Tail"),
        Column("Stitching loss", "points against the worse of both alone, lower is better", numeric=True),
        *(Column(name, "% right by a plain head", numeric=True) for name in ("Front alone", "Tail alone", "Stitched")),
    )
    lines = tuple(
        Row((Span(row.arm, tone="name"), Span(row.versus or "", tone="name"), view.cell(row), *_accuracies(row)))
        for row in rows
    )
    return [Text((told,)), Table("Two sources stitched", columns, lines)]


def _accuracies(row: Evidence) -> list[Span]:
    known = row.provenance.get("accuracy") or {}
    return [
        Span(fixed(100 * float(known[name]), 1) if name in known else "–") for name in ("first", "second", "stitched")
    ]


def _finding(view: View) -> str:
    known = [(value, row) for row in view.find("cka") if (value := defined(row)) is not None]
    if not known and view.find("stitching_loss"):
        return "What is lost when the front of one source feeds the tail of another."
    if not known:
        return "The similarity of the sources' features is undefined."
    (_, least), (_, most) = min(known, key=lambda pair: pair[0]), max(known, key=lambda pair: pair[0])
    high, low = (spell(row, interval=False) for row in (most, least))
    if least is most:
        return f"Similarity of the features of {most.arm} and {most.versus}: {high} of 1."
    return f"Most alike: {most.arm} and {most.versus} ({high} of 1); least: {least.arm} and {least.versus} ({low})."
