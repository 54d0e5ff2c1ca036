"""The same comparisons by other tests; without it a claim would hang on one way of reckoning."""

from __future__ import annotations

from transfuse.figures import plural
from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.pieces import count_of, defined
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import listed
from transfuse.types import Evidence

ORDER = 35
TESTS = ("sign_flip_runs", "sign_flip_items", "rope")
AT_ONCE = ("all_required", "every_single")


def blocks(view: View) -> list[Block]:
    """A line a comparison with the p of each other test, and whether the winner beats everything at once."""
    names = [name for name in TESTS if view.find(name)]
    whole = [row for name in AT_ONCE for row in view.find(name)]
    pairs = list(dict.fromkeys((row.arm, row.versus) for name in names for row in view.find(name) if row.versus))
    if not pairs and not whole:
        return []
    meanings = "; ".join(f"{quantity(name).title}: {quantity(name).meaning}" for name in names)
    columns = (Column("Comparison"), *(Column(quantity(name).title, _hint(view, name), numeric=True) for name in names))
    rows = tuple(
        Row((
            Span(f"{arm} against {versus}", tone="name"),
            *(_cell(view, next(iter(view.find(name, arm=arm, versus=versus)), None)) for name in names),
        ))
        for arm, versus in pairs
    )  # fmt: skip
    told = f"Beside the intervals that judge, these tests ask of the same differences in other ways. {meanings}."
    heading = Heading("The same by other tests", "checks", "Other tests", _finding(view, names), folded=True)
    found: list[Block] = [heading, Text((told,))]
    found += [Table("Other tests of the same differences", columns, rows)] if pairs else []
    return [*found, *(_whole(row) for row in whole)]


def _cell(view: View, row: Evidence | None) -> Span:
    """The p, with what the test can never show where runs are too few."""
    found = view.cell(row)
    note = str(row.provenance.get("note") or "") if row is not None else ""
    return Span(found.text, found.evidence, found.interval, found.note or note, found.tone)


def _hint(view: View, name: str) -> str:
    row = view.find(name)[0]
    return "p" if quantity(name).style == "p" else f"%, {row.direction} is better"


def _finding(view: View, names: list[str]) -> str:
    """How many comparisons each test tells apart at the usual level."""
    said = []
    for name in names:
        rows = view.find(name)
        if quantity(name).style == "p":
            low = sum(1 for row in rows if (value := defined(row)) is not None and value < 0.05)
            said.append(f"{quantity(name).title}: p below 0.05 in {count_of(low, len(rows), 'comparisons')}")
        else:
            sure = sum(1 for row in rows if (value := defined(row)) is not None and value >= 95)
            said.append(f"{quantity(name).title} at least 95 % in {count_of(sure, len(rows), 'comparisons')}")
    text = "; ".join(said) or "whether everything required is shown at once"
    return f"{text[:1].upper()}{text[1:]}."


def _whole(row: Evidence) -> Text:
    """The intersection–union test in a sentence."""
    required, left = row.provenance.get("required") or (), row.provenance.get("open") or ()
    p = defined(row)
    if p is None:
        return Text((f"Whether {row.arm} beats all at once is undefined.",))
    held = [str(name) for name in required if name not in left]
    beaten = listed(held) if left else "all of them"
    if left and not held:
        beaten = "none of them"
    elif left and len(held) >= len(left):
        beaten = f"all but {listed([str(name) for name in left])}"
    elif left:
        beaten += " only"
    noun = "single model" if row.quantity == "every_single" else "arm"
    many = plural(len(required), noun) if required else "everything"
    lead: Span = Span(f"p = {spell(row, interval=False)}", (row.id,))
    return Text(
        (
            f"{row.arm} must beat {many}; it is shown better by more than the margin than {beaten} (",
            lead,
            " for all at once).",
        )
    )
