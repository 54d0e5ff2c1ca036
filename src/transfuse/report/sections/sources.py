"""What went in, and what each source is worth alone; without it a fusion would be praised for what one source does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.figures import plural, scaled
from transfuse.report.blocks import Block, Column, Heading, Items, Prose, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.pieces import ALONE, notes_on
from transfuse.report.view import View
from transfuse.report.words import CHOSEN, what

ORDER = 38


def blocks(view: View) -> list[Block]:
    """A table of the sources, a table of what each does alone, and whatever is worth a note."""
    sources = view.setup.get("sources") or ()
    alone = [arm for arm in view.arms if str(arm.get("name", "")).startswith(ALONE)]
    if not sources and not alone:
        return []
    found: list[Block] = [
        Heading("The sources, each alone", "sources", "Sources", _finding(view, sources), folded=True)
    ]
    if sources:
        found.append(_origins(sources))
    found.append(_alone(view, alone) if alone else Text(("No source was judged alone.",)))
    notes = [note for source in sources for note in _notes(source)]
    for name in (str(arm["name"]) for arm in alone):
        notes += [(Span(name, tone="name"), f": {note}") for note in notes_on(view, name)]
    return [*found, Items(tuple(notes))] if notes else found


def _finding(view: View, sources: tuple[Mapping[str, Any], ...]) -> str:
    single = view.best_single
    level = view.level(single, view.metric) if single else None
    best = f"; the best alone is {single} ({spell(level)})" if single and level is not None else ""
    if best and view.arm(single or "").get("method") == CHOSEN:
        best = f"; the best alone, chosen anew in each fold, has {spell(level)}" if level is not None else ""
    return f"{plural(len(sources), 'source')}{best}." if sources else f"Single models judged alone{best}."


def _origins(sources: tuple[Mapping[str, Any], ...]) -> Table:
    columns = (
        Column("Source"),
        Column("Where from"),
        Column("Parameters", numeric=True),
        Column("Licence"),
        Column("Rows it has seen"),
    )
    rows = tuple(
        Row((
            Span(str(source.get("name", "")), tone="name"),
            Span(str(source.get("spec", "unknown"))),
            Span(_parameters(source.get("parameters"))),
            Span(str(source.get("licence") or "unknown")),
            Span(str(source.get("seen") or "unknown")),
        ))
        for source in sources
    )  # fmt: skip
    return Table("What went in", columns, rows)


def _parameters(count: Any) -> str:
    return scaled(float(count)) if isinstance(count, int | float) else "unknown"


def _alone(view: View, arms: list[Mapping[str, Any]]) -> Table:
    names = list(view.headline)
    rows = tuple(
        Row(
            (
                Span(str(arm["name"]), tone="name"),
                Span(what(arm)),
                *(view.cell(view.level(arm["name"], name)) for name in names),
            ),
            arm["name"] == view.winner,
        )
        for arm in arms
    )
    columns = (Column("Arm"), Column("What it is"), *(view.column(name) for name in names))
    return Table("What each does alone, with 95 % intervals", columns, rows)


def _notes(source: Mapping[str, Any]) -> list[Prose]:
    name = Span(str(source.get("name", "")), tone="name")
    notes: list[Prose] = [(name, f": {note}") for note in source.get("notes") or ()]
    if source.get("random"):
        notes.append((name, ": built without pretrained weights; nothing is transferred from it"))
    return notes
