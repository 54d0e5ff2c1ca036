"""How alike the sources see; without it a second source that repeats the first would look like a new one."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.pieces import defined
from transfuse.report.sections.diversity import matrix
from transfuse.report.view import View

ORDER = 64


def blocks(view: View) -> list[Block]:
    """A heat map of debiased CKA between the sources' features; a description, never an input to a decision."""
    rows = view.find("cka")
    if not rows:
        return []
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
        Heading("Do the sources see the same?", "similarity", "Similarity", _finding(view), folded=True),
        Text((told,)),
        matrix(view, "cka", names) if len(names) > 2 else few,
    ]


def _finding(view: View) -> str:
    known = [(value, row) for row in view.find("cka") if (value := defined(row)) is not None]
    if not known:
        return "The similarity of the sources' features is undefined."
    (_, least), (_, most) = min(known, key=lambda pair: pair[0]), max(known, key=lambda pair: pair[0])
    high, low = (spell(row, interval=False) for row in (most, least))
    if least is most:
        return f"Similarity of the features of {most.arm} and {most.versus}: {high} of 1."
    return f"Most alike: {most.arm} and {most.versus} ({high} of 1); least: {least.arm} and {least.versus} ({low})."
