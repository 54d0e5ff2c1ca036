"""A run's record as a page; without it each renderer would find, order and number its sections in its own way."""

from __future__ import annotations

from transfuse.report.document import Document, listed, marked, shelved
from transfuse.report.view import View

WHERE = "E12 is the twelfth row of `evidence.json`, M3 the third of `measurements.json`."


def report(view: View) -> Document:
    """The page of one run: every section of the shelf that has something to say."""
    lists = listed(view)
    return Document(
        title=view.title,
        summary=view.summary,
        sections=shelved(view),
        lists=lists,
        marks=marked(lists),
        tab=f"{view.title}: {view.recommendation.arm}",
        where=WHERE,
        version=str(view.setup.get("version") or ""),
    )
