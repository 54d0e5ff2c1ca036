"""The report as one HTML file that opens anywhere; without it a result could not be handed to a colleague.

One file, no script, no address of another place: a content security policy in the page forbids both. Everything that a
user or a stranger's file has named is escaped by the template; drawings come from `charts.py`, which escapes likewise.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from transfuse.report.blocks import Block, Span, spans
from transfuse.report.compose import marks, notes, sections
from transfuse.report.numbers import better, fixed
from transfuse.report.side_by_side import Pair
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

FOLDER = Path(__file__).parent


def render_html(evidence: Mapping[str, Any], measurements: Mapping[str, Any] | None = None) -> str:
    """The whole page, the same bytes for the same evidence; `UserError` when the record holds no verdict."""
    view = View(evidence, measurements)
    page = _environment().get_template("page.html")
    return page.render(
        view=view,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),  # noqa: S704 the style is ours
        sections=sections(view),
        lists=[("E", "The evidence", view.evidence), ("M", "Measured on this machine", view.measurements)],
        marks=marks(view),
    )


def render_pair(pair: Pair) -> str:
    """Two runs on one page, with the evidence of both."""
    return (
        _environment()
        .get_template("page.html")
        .render(
            view=pair,
            style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),  # noqa: S704 the style is ours
            sections=pair.sections(),
            lists=pair.lists,
            marks=pair.marks,
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "spans": spans,
        "kind": _kind,
        "notes": notes,
        "raw": _raw,
        "ends": _ends,
        "better": better,
        "svg": _svg,
    }
    return environment


def _kind(block: Block) -> str:
    return type(block).__name__


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 drawn by charts.py from escaped text


def _raw(row: Evidence) -> Span:
    """A value as the record holds it, in the record's unit, for the table of all rows."""
    if isinstance(row.value, Undefined):
        return Span(f"undefined: {row.value.reason}", tone="muted")
    return Span(_figure(row.value))


def _ends(row: Evidence) -> str:
    return f"[{_figure(row.low)}, {_figure(row.high)}]" if row.low is not None and row.high is not None else ""


def _figure(number: float) -> str:
    if number.is_integer() and abs(number) < 1e15:
        return fixed(number, 0)
    return f"{number:.6g}".replace("-", "−")
