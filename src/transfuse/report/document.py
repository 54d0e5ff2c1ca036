"""One page of sections, whatever it is about; without it every kind of record would need renderers of its own.

A run's verdict, two runs side by side and a choice before fusing all become a `Document`; `html.page` and
`text.markdown` know nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transfuse import registry
from transfuse.report.blocks import Block, Heading, Table
from transfuse.report.record import Rows
from transfuse.types import Evidence

Sections = list[tuple[Heading, list[Block]]]
RUN_SECTIONS = "report/sections"
BOUNDS = "One data set, no claim beyond it."


@dataclass(frozen=True)
class Document:
    """What a page shows: its head, its sections in order, and the rows that its numbers lead to.

    `lists` are (letter, title, rows); a row's mark is its letter and its place in the list. `where` tells readers of
    Markdown where the rows lie. `brand` is the kind of page, `tab` its name in a list of pages.
    """

    title: str
    summary: str
    sections: Sections
    lists: tuple[tuple[str, str, tuple[Evidence, ...]], ...]
    marks: Mapping[str, str] = field(default_factory=dict)
    brand: str = "transfuse report"
    tab: str = ""
    where: str = ""
    bounds: str = BOUNDS
    version: str = ""


def shelved(view: Rows, shelf: str = RUN_SECTIONS) -> Sections:
    """Each section of a shelf as its heading and its other blocks, in order; silent ones are left out.

    A file of the shelf declares `ORDER` and `blocks(view) -> list of blocks`, whose first is its `Heading`.
    """
    entries = sorted(registry.shelf(shelf).values(), key=lambda entry: (entry.order, entry.name))
    found = [entry.load().blocks(view) for entry in entries]
    return [(blocks[0], blocks[1:]) for blocks in found if blocks]


def findings(view: Rows, shelf: str = RUN_SECTIONS) -> dict[str, Heading]:
    """The sections that say a finding, by anchor, in order."""
    return {heading.anchor: heading for heading, _ in shelved(view, shelf) if heading.finding}


def listed(view: Rows) -> tuple[tuple[str, str, tuple[Evidence, ...]], ...]:
    """The rows of a record by the letter of their marks: E of `evidence.json`, M of `measurements.json`."""
    return (("E", "The evidence", view.evidence), ("M", "Measured on this machine", view.measurements))


def marked(lists: tuple[tuple[str, str, tuple[Evidence, ...]], ...]) -> dict[str, str]:
    """A short mark for each row by id: E1, E2 … as they stand in their list."""
    return {row.id: f"{letter}{place}" for letter, _, rows in lists for place, row in enumerate(rows, start=1)}


def notes(table: Table) -> dict[str, int]:
    """The notes of a table's cells, numbered as they first appear."""
    found = dict.fromkeys(cell.note for row in table.rows for cell in row.cells if cell.note)
    return {note: number for number, note in enumerate(found, start=1)}
