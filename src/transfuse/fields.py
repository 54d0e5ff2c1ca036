"""What the items of a data set are, images, texts or several of these: without it a source of the one would be fed with
the other.

A reader says what it gives, a source what it takes (`Card.field`), a method's file what it works on
(`TRAITS["fields"]`); they are held against each other once, while planning. An item of several parts has a field such
as `image+columns`, whose first part names it: its file, its group, its near-duplicates. Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from transfuse import cells, reads, texts
from transfuse.errors import UserError

if TYPE_CHECKING:
    from transfuse.registry import Entry
    from transfuse.types import Card

IMAGE, TEXT, COLUMNS = "image", "text", "columns"
EVERY = (IMAGE, TEXT, COLUMNS)
# Shelves whose methods know of pixels, or of the inside of networks of images, unless their file says otherwise.
OF_IMAGES = ("conditions", "compress", "fusion/structure")


def parts(field: str) -> tuple[str, ...]:
    """The parts of an item, the one that names it first."""
    return tuple(field.split("+"))


def main(field: str) -> str:
    """The part that names an item."""
    return parts(field)[0]


def joined(fields: Iterable[str]) -> str:
    """The field of items that have all parts of these."""
    found = {part for field in fields for part in parts(field)}
    return "+".join(part for part in EVERY if part in found) or IMAGE


def named(field: str) -> str:
    """A field in words, of several items."""
    return " with ".join(part if part == COLUMNS else f"{part}s" for part in parts(field))


def views(field: str) -> tuple[str, ...]:
    """The views that copies of one source look at, the plain one first."""
    return {TEXT: texts.VIEWS, COLUMNS: cells.VIEWS}.get(field, reads.VIEWS)


def fields_of(entry: Entry) -> tuple[str, ...]:
    """What a method works on, as its file says it: `TRAITS["fields"]`, names with commas."""
    on_canvas = entry.shelf == "train/augment" and entry.traits.get("on") == "canvas"
    usual = IMAGE if entry.shelf in OF_IMAGES or on_canvas else ", ".join(EVERY)
    return tuple(name.strip() for name in str(entry.traits.get("fields", usual)).split(","))


def field_of(network: object) -> str:
    """What a network takes: images, unless it says otherwise."""
    return str(getattr(network, "field", IMAGE))


def check_field(name: str, taken: str, spec: str, field: str | None) -> None:
    """Raises UserError where a source takes other items than the data are known to be."""
    if field is not None and not set(parts(taken)) <= set(parts(field)):
        beside = "name them under data: {csv: FILE, path: COLUMN, text: COLUMN, columns: [COLUMN, …]}"
        raise UserError(
            f"source '{name}' reads {named(taken)}, and the data are {named(field)}",
            where=f"source '{name}' ({spec})",
            expected=f"a source of {' or '.join(named(part) for part in parts(field))}",
            hint=f"where a table has both, {beside}; else fuse predictions of separate runs: transfuse evaluate",
        )


def check_works_on(entry: Entry, field: str, where: str) -> None:
    """Raises UserError where a method does not work on items of this field."""
    known = fields_of(entry)
    if other := [part for part in parts(field) if part not in known]:
        what = " or ".join(named(part) for part in other)
        raise UserError(
            f"{entry.full_name} works on {' and '.join(map(named, known))}, not on {what}",
            where=where,
            hint="leave it out",
        )


def joint_field(cards: Iterable[Card]) -> str:
    """The field of items that all of these sources can read."""
    return joined(card.field for card in cards)
