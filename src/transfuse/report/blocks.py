"""The few kinds of block a section may use; without them every section would have to know every renderer.

A section says *what* is shown in these words, and `html.py` and `text.py` alone know how each of them looks.
Text is plain text, never markup: whatever stands in it is shown as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "name", "muted", "better", "equivalent", "worse", "not shown", "flag"]
Shade = tuple[Literal["better", "worse", "accent"], float]


@dataclass(frozen=True)
class Span:
    """A piece of text or one cell of a table; a number names the evidence rows it was read from.

    `interval` is the number's interval, set smaller. `note` is the reason why something is missing; renderers print it
    below the table, never only on hovering. `shade` colours the cell of a heat map: which colour, and how strong from 0
    to 1; the number itself stands in it, so nothing rests on colour.
    """

    text: str
    evidence: tuple[str, ...] = ()
    interval: str = ""
    note: str = ""
    tone: Tone = "plain"
    shade: Shade | None = None


Prose = tuple[str | Span, ...]


@dataclass(frozen=True)
class Heading:
    """Opens a section; `anchor` is its place in the page, `brief` its word in the list of contents.

    `finding` is what the section says in one line, for those who do not open it. A `folded` section is closed at first.
    """

    text: str
    anchor: str
    brief: str
    finding: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Text:
    """One paragraph."""

    prose: Prose


@dataclass(frozen=True)
class Column:
    """A column's title, with a second line for unit and direction; numbers are aligned to the right."""

    title: str
    hint: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Row:
    """The cells of one row, the first of which names it; a marked row is the recommended arm."""

    cells: tuple[Span, ...]
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a caption that says what it shows."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Chart:
    """A drawing at two widths, made by `charts/` alone.

    `finding` is the one sentence that it shows, `caption` says how to read it, `summary` tells all of it in words;
    `evidence` are the rows that its numbers were read from.
    """

    wide: str
    narrow: str
    finding: str
    caption: str
    summary: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A small image as base64 of `media` (image/png or image/jpeg); without `data` its name alone is shown."""

    name: str
    words: Prose
    media: str = ""
    data: str = ""


@dataclass(frozen=True)
class Gallery:
    """Judged items as pictures, each with a few words."""

    caption: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Callout:
    """A box: a label, a title with a hint that explains it, and what stands behind it; `marked` is the verdict."""

    label: str
    title: str
    hint: str = ""
    body: tuple[Prose, ...] = ()
    evidence: tuple[str, ...] = ()
    tone: Tone = "plain"
    marked: bool = False


@dataclass(frozen=True)
class Callouts:
    """Boxes of one kind, side by side where there is room."""

    callouts: tuple[Callout, ...]


@dataclass(frozen=True)
class Fact:
    """One figure with its name above and what it means below."""

    label: str
    value: Span
    hint: str = ""


@dataclass(frozen=True)
class Facts:
    """A few figures side by side."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Items:
    """A list of short points."""

    items: tuple[Prose, ...]


@dataclass(frozen=True)
class Code:
    """Text to copy, kept to the letter."""

    text: str
    caption: str


Block = Heading | Text | Table | Chart | Gallery | Callout | Callouts | Facts | Items | Code


def spans(prose: Prose) -> tuple[Span, ...]:
    """Prose as spans only."""
    return tuple(Span(part) if isinstance(part, str) else part for part in prose)
