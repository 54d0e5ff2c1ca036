"""What compressing took and what it left; without it the smallest arm would look like the others in a long table."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Items, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.pieces import defined, notes_on
from transfuse.report.quantities import quantity
from transfuse.report.sections.cost import drawn
from transfuse.report.view import View
from transfuse.types import Evidence

ORDER = 37
LEFT = ("bytes_left", "flops_left", "parameters_left")


def blocks(view: View) -> list[Block]:
    """One row for each compressed arm: what it changes against the arm it was made of, and what of that is left."""
    pairs = list(dict.fromkeys((row.arm, row.versus or "") for row in view.find("bytes_left")))
    if not pairs:
        return []
    metrics = list(view.headline)
    left = [name for name in LEFT if view.find(name)]
    lines = tuple(
        Row(
            (
                Span(arm, tone="name"),
                Span(whole, tone="name"),
                *(view.cell(view.paired(arm, whole, metric), with_unit=True) for metric in metrics),
                Span(_shown(view, arm, whole, metrics[0])),
                view.cell(view.paired(arm, whole, "same_answer")),
                *(view.cell(view.paired(arm, whole, name)) for name in left),
            ),
            arm == view.winner,
        )
        for arm, whole in pairs
    )
    columns = (
        Column("Arm"),
        Column("Made of"),
        *(view.column(metric, title=f"Change in {quantity(metric).title}", paired=True) for metric in metrics),
        Column("No worse than by the margin"),
        view.column("same_answer", paired=True),
        *(view.column(name, paired=True) for name in left),
    )
    told = (
        "Differences are those of the compressed arm to the arm it was made of, on the same judged rows. Shares are of "
        "bytes on disk, FLOPs of one item and parameters; a weight in 8 bits is still one parameter."
    )
    title = "What compressing takes and leaves"
    heading = Heading(title, "compression", "Compression", _finding(view, pairs), folded=True)
    drawing = drawn(view, "stored_bytes")
    found = [heading, *([drawing] if drawing else []), Text((told,)), Table("Compressed arms", columns, lines)]
    notes = tuple((arm, f": {note}") for arm in dict.fromkeys(arm for arm, _ in pairs) for note in notes_on(view, arm))
    return [*found, Items(notes)] if notes else found


def _shown(view: View, arm: str, whole: str, metric: str) -> str:
    row = _not_worse(view, arm, whole, metric)
    value = None if row is None else defined(row)
    return "not told" if value is None else "shown" if value == 1.0 else "not shown"


def _not_worse(view: View, arm: str, whole: str, metric: str) -> Evidence | None:
    found = (row for row in view.find("non_inferior") if (row.arm, row.versus) == (arm, whole))
    return next((row for row in found if row.provenance.get("metric") == metric), None)


def _finding(view: View, pairs: list[tuple[str, str]]) -> str:
    """The smallest form that is shown to be no worse."""
    kept = []
    for arm, whole in pairs:
        row, size = _not_worse(view, arm, whole, view.metric), view.paired(arm, whole, "bytes_left")
        value = None if size is None else defined(size)
        if row is not None and defined(row) == 1.0 and value is not None and size is not None:
            kept.append((value, arm, whole, size))
    if not kept:
        return "No compressed arm is shown to keep what it was made of."
    _, arm, whole, size = min(kept, key=lambda each: (each[0], each[1]))
    return f"{arm} keeps {spell(size, interval=False)} of {whole}'s bytes and is shown no worse than by the margin."
