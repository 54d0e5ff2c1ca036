"""The report as Markdown and as a few lines for a terminal; without it a result would need a browser to be read.

Both say what the sections say, in the same words. Names come from users and strangers' files: in Markdown every
character that could mean something is escaped, and in a terminal nothing unprintable is let through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from transfuse.report import compose
from transfuse.report.blocks import (
    Block,
    Callout,
    Callouts,
    Chart,
    Code,
    Facts,
    Gallery,
    Heading,
    Items,
    Prose,
    Span,
    Table,
    Text,
    spans,
)
from transfuse.report.document import Document, notes
from transfuse.report.view import View

WIDTH = 100
Marks = Mapping[str, str]


def render_markdown(evidence: Mapping[str, Any], measurements: Mapping[str, Any] | None = None) -> str:
    """A run's whole report; charts are told in words. `UserError` when the record holds no verdict."""
    return markdown(compose.report(View(evidence, measurements)))


def markdown(document: Document) -> str:
    """Any document as Markdown."""
    parts = [f"# {escape(document.title)}", escape(document.summary)]
    for heading, blocks in document.sections:
        parts.append(f"## {escape(heading.text)}")
        parts += [f"*{escape(heading.finding)}*"] if heading.finding else []
        parts += [_block(block, document.marks) for block in blocks]
    parts.append(" ".join(filter(None, [document.where, document.bounds])))
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is: one line, every special character escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", printable(text))


def printable(text: str) -> str:
    """One line: a line end in a name cannot break a table or forge a line (the view has taken out all else)."""
    return re.sub(r"\s+", " ", text)


def _block(block: Block, found: Marks) -> str:
    writers: dict[type, Callable[[Any, Marks], str]] = {
        Heading: lambda one, _: f"### {escape(one.text)}",
        Text: lambda one, _: _prose(one.prose),
        Items: lambda one, _: "\n".join(f"- {_prose(item)}" for item in one.items),
        Facts: lambda one, _: "\n".join(
            f"- {escape(fact.label)}: **{escape(fact.value.text)}** ({escape(fact.hint)})" for fact in one.facts
        ),
        Chart: _chart,
        Gallery: lambda one, _: "\n".join(
            [f"{escape(one.caption)}:\n", *(f"- {escape(each.name)}: {_prose(each.words)}" for each in one.pictures)]
        ),
        Code: _code,
        Table: _table,
        Callout: _callout,
        Callouts: lambda one, names: "\n\n".join(_callout(box, names) for box in one.callouts),
    }
    return writers[type(block)](block, found)


def _prose(prose: Prose) -> str:
    return "".join(
        _strong(span.text) if span.tone not in ("plain", "muted") else escape(span.text) for span in spans(prose)
    )


def _strong(text: str) -> str:
    """Markdown takes no blanks inside its stars, so they move out."""
    bare = text.strip()
    return escape(text).replace(escape(bare), f"**{escape(bare)}**", 1) if bare else text


def _callout(box: Callout, found: Marks) -> str:
    hint = f" ({escape(box.hint)})" if box.hint else ""
    rests = [f"Rests on {', '.join(found[name] for name in box.evidence)}."] if box.evidence else []
    lines = [f"**{escape(box.label)}: {escape(box.title)}**{hint}", *(_prose(part) for part in box.body), *rests]
    return "\n>\n".join(f"> {line}" for line in lines)


def _chart(block: Chart, found: Marks) -> str:
    rests = [found[name] for name in block.evidence if name in found]
    ends = f" (rests on {', '.join(rests)})" if rests else ""
    return f"*Chart.* {escape(block.finding)} {escape(block.summary)}{ends}"


def _code(block: Code, _: Marks) -> str:
    longest = max((len(run) for run in re.findall(r"`+", block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{escape(block.caption)}:\n\n{fence}\n{block.text}\n{fence}"


def _table(block: Table, _: Marks) -> str:
    numbered = notes(block)
    titles = [f"{escape(column.title)}{f' ({escape(column.hint)})' if column.hint else ''}" for column in block.columns]
    rules = ["---:" if column.numeric else "---" for column in block.columns]
    rows = [
        [
            f"**{_cell(cell, numbered)}**" if row.marked and not place else _cell(cell, numbered)
            for place, cell in enumerate(row.cells)
        ]
        for row in block.rows
    ]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [titles, rules, *rows])
    below = "\n".join(f"{number}. {escape(note)}" for note, number in numbered.items())
    return "\n\n".join(filter(None, [f"{escape(block.caption)}:", table, below]))


def _cell(cell: Span, numbered: Mapping[str, int]) -> str:
    interval = f" ({escape(cell.interval)})" if cell.interval else ""
    return f"{escape(cell.text)}{interval}{f' [{numbered[cell.note]}]' if cell.note else ''}"
