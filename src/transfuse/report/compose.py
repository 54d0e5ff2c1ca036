"""A run's record as a page; without it each renderer would find, order and number its sections in its own way."""

from __future__ import annotations

from transfuse.report.document import RUN_SECTIONS, Document, listed, marked, shelved
from transfuse.report.view import View

CHOICE_SECTIONS = "report/choosing"
EVIDENCE, MEASURED = "E12 is the twelfth row of `evidence.json`", "M3 the third of `measurements.json`"


def report(view: View) -> Document:
    """The page of one run, or of a choice before one: every section of its shelf that has something to say."""
    lists, choice = listed(view), view.kind == "choice"
    return Document(
        title=view.title,
        summary=view.summary,
        sections=shelved(view, CHOICE_SECTIONS if choice else RUN_SECTIONS),
        lists=lists,
        brand="transfuse choose" if choice else "transfuse report",
        marks=marked(lists),
        tab=f"{view.title}: {view.recommendation.arm}",
        where=f"{EVIDENCE}, {MEASURED}." if view.measurements else f"{EVIDENCE}.",
        version=str(view.setup.get("version") or ""),
    )
