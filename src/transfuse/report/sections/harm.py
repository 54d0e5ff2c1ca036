"""Who pays for a gain; without it a better mean could be bought with one class or one group, unseen."""

from __future__ import annotations

from transfuse.figures import plural
from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import shown, unit
from transfuse.report.pieces import count_of, defined, diverging, metric_of, shaded
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

ORDER = 44
SCREENS = {
    "class": "class_difference",
    "group": "group_difference",
    "label": "label_difference",
    "target": "target_difference",
}
NOUNS = {"class": "classes", "group": "groups", "label": "labels", "target": "targets"}
BY_SOURCE = "negative_transfer_class"
MOST = 24
WORDS = {"kept": "kept", "shown": "broken: harm is shown", "not excluded": "not kept: harm is not excluded"}


def blocks(view: View) -> list[Block]:
    """A heat map over classes (labels, targets), one over groups, the guards, the worst group; worst parts first."""
    screens = [(key, view.find(name)) for key, name in SCREENS.items()]
    guards = [row for row in view.evidence if row.provenance.get("guard")]
    found: list[Block] = [table for key, rows in screens if rows for table in _screen(view, key, rows)]
    found += [_guards(view, guards)] if guards else []
    worst = _worst_group(view)
    found += [worst] if worst else []
    if not found:
        return []
    return [Heading("Who gains and who pays", "harm", "Harm", _finding(view, screens, guards), folded=True), *found]


def _finding(view: View, screens: list[tuple[str, tuple[Evidence, ...]]], guards: list[Evidence]) -> str:
    said = []
    for key, rows in screens:
        if rows:
            worse = [row for row in rows if row.provenance.get("worse_beyond_margin")]
            names = f" ({', '.join(str(row.provenance.get(key)) for row in worse[:4])})" if worse else ""
            said.append(f"{count_of(len(worse), len(rows), NOUNS[key])} shown worse by more than the margin{names}")
    for source, rows in _by_source(view).items():
        worse = [row for row in rows if row.provenance.get("worse_beyond_margin")]
        if worse:
            names = ", ".join(str(row.provenance.get("class")) for row in worse[:4])
            said.append(f"{count_of(len(worse), len(rows), 'classes')} worse with {source} than without it ({names})")
    broken = [row for row in guards if row.provenance["guard"] != "kept"]
    said += [f"{count_of(len(broken), len(guards), 'guards')} not kept"] if guards else []
    text = "; ".join(said) or "accuracy on the group that is served worst"
    return f"{text[:1].upper()}{text[1:]}."


def _by_source(view: View) -> dict[str, list[Evidence]]:
    """The rows of a fusion against itself without a source, class by class, by source."""
    found: dict[str, list[Evidence]] = {}
    for row in view.find(BY_SOURCE):
        found.setdefault((row.versus or "").removeprefix("without/"), []).append(row)
    return found


def _screen(view: View, key: str, rows: tuple[Evidence, ...]) -> list[Block]:
    """Every part against the best single, and for classes the fusion against itself without each source."""
    first = rows[0]
    others = _without(view, key, first)
    columns = [Column(key.capitalize()), Column("Items", numeric=True)]
    columns += [Column(f"against {first.versus}", _hint(first), numeric=True)]
    columns += [Column(f"with {source} or without", _hint(first), numeric=True) for source in others]
    every = [
        row for found in ({str(r.provenance.get(key)): r for r in rows}, *others.values()) for row in found.values()
    ]
    largest = max((abs(value) for row in every if (value := defined(row)) is not None), default=0.0)
    ranked = sorted(rows, key=lambda row: _badness(row))
    table_rows = tuple(_part(view, key, row, others, largest) for row in ranked[:MOST])
    caption = f"{first.arm} minus {first.versus} by {key}, the worst first; corrected over all of them"
    blocks: list[Block] = [Table(caption, tuple(columns), table_rows)]
    if len(ranked) > MOST:
        blocks.append(Text((f"{plural(len(ranked) - MOST, 'more ' + key)} are in the table of all evidence.",)))
    return blocks


def _hint(row: Evidence) -> str:
    return f"{metric_of(row)}, {row.unit}, {row.direction} is better"


def _badness(row: Evidence) -> float:
    value = 0.0 if isinstance(row.value, Undefined) else row.value
    return value if row.direction == "higher" else -value


def _without(view: View, key: str, first: Evidence) -> dict[str, dict[str, Evidence]]:
    """Rows of the fusion against itself without a source, by source and class."""
    found: dict[str, dict[str, Evidence]] = {}
    if key != "class":
        return found
    for row in view.find(BY_SOURCE, arm=first.arm):
        source = (row.versus or "").removeprefix("without/")
        found.setdefault(source, {})[str(row.provenance.get(key))] = row
    return found


def _part(view: View, key: str, row: Evidence, others: dict[str, dict[str, Evidence]], largest: float) -> Row:
    name = str(row.provenance.get(key))
    cells = [Span(name, tone="name"), Span(f"{row.n:,}")]
    for each in (row, *(found.get(name) for found in others.values())):
        value = defined(each)
        shade = diverging(value, largest, each.direction) if each is not None and value is not None else None
        cells.append(shaded(view.cell(each), shade))
    return Row(tuple(cells), bool(row.provenance.get("worse_beyond_margin")))


def _guards(view: View, rows: list[Evidence]) -> Table:
    """What was promised before the run, and whether it holds."""
    columns = (
        Column("Guard"),
        Column("Most that may be lost", numeric=True),
        Column("Difference", "95 % interval", numeric=True),
        Column("Holds"),
    )
    return Table("Guards: what must not be lost", columns, tuple(_guard(view, row) for row in rows))


def _guard(view: View, row: Evidence) -> Row:
    standing = str(row.provenance["guard"])
    tone = {"kept": "better", "shown": "worse"}.get(standing, "not shown")
    return Row((
        Span(f"{metric_of(row)}, {row.arm} against {row.versus}", tone="name"),
        Span(f"{shown(row, float(row.provenance.get('margin') or 0.0)):.4g} {unit(row)}".rstrip()),
        view.cell(row, with_unit=True),
        Span(WORDS.get(standing, standing), (row.id,), tone=tone),  # pyright: ignore[reportArgumentType]
    ))  # fmt: skip


def _worst_group(view: View) -> Table | None:
    rows = [row for row in view.find("worst_group") if row.versus is None]
    if not rows:
        return None
    title = quantity("worst_group").title
    table_rows = tuple(
        Row(
            (Span(row.arm, tone="name"), view.cell(row), Span(str(row.provenance.get("group", "")))),
            row.arm == view.winner,
        )
        for row in rows
    )
    columns = (Column("Arm"), view.column("worst_group"), Column("Which"))
    return Table(f"Accuracy on the {title}; on few items it looks worse than it is", columns, table_rows)
