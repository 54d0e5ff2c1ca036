"""What the items of a data set are, images or texts: without it a source of the one would be fed with the other.

A reader says what it gives, a source what it takes (`Card.field`), a method's file what it works on
(`TRAITS["fields"]`); they are held against each other once, while planning. Torch-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from transfuse import reads, texts
from transfuse.errors import UserError

if TYPE_CHECKING:
    from transfuse.registry import Entry
    from transfuse.types import Card

IMAGE, TEXT = "image", "text"
# Shelves whose methods know of pixels, or of the inside of networks of images, unless their file says otherwise.
OF_IMAGES = ("conditions", "compress", "fusion/structure")


def views(field: str) -> tuple[str, ...]:
    """The views that copies of one source look at, the plain one first."""
    return texts.VIEWS if field == TEXT else reads.VIEWS


def fields_of(entry: Entry) -> tuple[str, ...]:
    """What a method works on, as its file says it: `TRAITS["fields"]`, names with commas."""
    on_canvas = entry.shelf == "train/augment" and entry.traits.get("on") == "canvas"
    usual = IMAGE if entry.shelf in OF_IMAGES or on_canvas else f"{IMAGE}, {TEXT}"
    return tuple(name.strip() for name in str(entry.traits.get("fields", usual)).split(","))


def field_of(network: object) -> str:
    """What a network takes: images, unless it says otherwise."""
    return str(getattr(network, "field", IMAGE))


def check_field(name: str, taken: str, spec: str, field: str | None) -> None:
    """Raises UserError where a source takes other items than the data are known to be."""
    if field is not None and taken != field:
        raise UserError(
            f"source '{name}' reads {taken}s, and the data are {field}s",
            where=f"source '{name}' ({spec})",
            expected=f"a source of {field}s",
            hint="fuse the predictions of separate runs: transfuse evaluate",
        )


def check_works_on(entry: Entry, field: str, where: str) -> None:
    """Raises UserError where a method does not work on items of this field."""
    if field not in fields_of(entry):
        raise UserError(
            f"{entry.full_name} works on {' and '.join(f'{each}s' for each in fields_of(entry))}, not on {field}s",
            where=where,
            hint="leave it out",
        )


def one_field(cards: Mapping[str, Card], where: str) -> str:
    """The field of all these sources. Raises UserError where they differ."""
    found = {card.field: name for name, card in cards.items()}
    if len(found) > 1:
        got = ", ".join(f"'{name}' reads {field}s" for field, name in sorted(found.items()))
        raise UserError("images and texts cannot be read by one network", where=where, got=got)
    return next(iter(found), IMAGE)
