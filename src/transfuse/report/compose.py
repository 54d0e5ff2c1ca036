"""From evidence to sections; without it each renderer would find, order and number them in its own way."""

from __future__ import annotations

from transfuse import registry
from transfuse.report.blocks import Block, Heading, Table
from transfuse.report.view import View


def sections(view: View) -> list[tuple[Heading, list[Block]]]:
    """Each section of the shelf as its heading and its other blocks, in order; silent ones are left out."""
    entries = sorted(registry.shelf("report/sections").values(), key=lambda entry: (entry.order, entry.name))
    found = [entry.load().blocks(view) for entry in entries]
    return [(blocks[0], blocks[1:]) for blocks in found if blocks]


def marks(view: View) -> dict[str, str]:
    """A short mark for each row by id: E1, E2 … as they stand in `evidence.json`, M1 … in `measurements.json`."""
    lists = (("E", view.evidence), ("M", view.measurements))
    return {row.id: f"{letter}{place}" for letter, rows in lists for place, row in enumerate(rows, start=1)}


def notes(table: Table) -> dict[str, int]:
    """The notes of a table's cells, numbered as they first appear."""
    found = dict.fromkeys(cell.note for row in table.rows for cell in row.cells if cell.note)
    return {note: number for number, note in enumerate(found, start=1)}
