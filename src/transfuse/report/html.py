"""The report as one HTML file that opens anywhere; without it a result could not be handed to a colleague.

One file, no script, no address of another place: a content security policy in the page forbids both. Everything that a
user or a stranger's file has named is escaped by the template; drawings come from `charts/`, which escapes likewise.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from transfuse.report import compose
from transfuse.report.blocks import Block, Span, spans
from transfuse.report.document import Document, notes
from transfuse.report.numbers import better, fixed
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

FOLDER = Path(__file__).parent
APART = re.compile(r"(?<=\d) (?=%)")


def render_html(
    evidence: Mapping[str, Any],
    measurements: Mapping[str, Any] | None = None,
    pictures: Mapping[str, str] | None = None,
) -> str:
    """A run's whole page, the same bytes for the same evidence; `UserError` when the record holds no verdict.

    `pictures` are small images of judged items by id, as `data:` addresses.
    """
    return page(compose.report(View(evidence, measurements, pictures)))


def page(document: Document) -> str:
    """Any document as one page."""
    style = Markup((FOLDER / "style.css").read_text(encoding="utf-8"))  # noqa: S704 the style is ours
    return _environment().get_template("page.html").render(document=document, marks=document.marks, style=style)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_joined,
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


def _joined(value: Any) -> Any:
    """A percentage stays on one line."""
    if not isinstance(value, str):
        return value
    found = APART.sub("\N{NO-BREAK SPACE}", value)
    return Markup(found) if isinstance(value, Markup) else found  # noqa: S704 it was safe before


def _kind(block: Block) -> str:
    return type(block).__name__


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 drawn by charts/ from escaped text


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
