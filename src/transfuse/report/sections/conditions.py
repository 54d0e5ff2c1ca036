"""What is left on spoilt inputs; without it a fusion that collapses under noise would ship on its clean figures."""

from __future__ import annotations

from collections.abc import Sequence

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.pieces import defined, diverging, measure, shaded
from transfuse.report.view import View
from transfuse.types import CLEAN, Evidence

ORDER = 58
RATIOS = ("corruption_error", "relative_corruption_error", "worst_corruption")


def blocks(view: View) -> list[Block]:
    """Heat maps of corruption × severity: what ships, the best single, their difference; and the ratios over all."""
    counted = ("accuracy", "subset_accuracy")
    name = next((each for each in counted if any(_spoilt(row) for row in view.all(each))), view.metric)
    rows = [row for row in view.all(name) if _spoilt(row)]
    if not rows:
        return []
    arms = list(dict.fromkeys(row.arm for row in rows))
    own = view.judged_as if view.judged_as in arms else view.challenger if view.challenger in arms else arms[0]
    levels = [row for row in rows if row.versus is None]
    pairs = [row for row in rows if row.versus is not None]
    told = (
        "The same judged items, spoilt in the same way for every arm. Severities run from 1 to 5. "
        "Shades tell how much is lost against clean inputs, and below who loses less."
    )
    return [
        Heading("Spoilt inputs", "conditions", "Spoilt inputs", _finding(view), folded=True),
        Text((told,)),
        *_levels(view, levels, [arm for arm in dict.fromkeys((own, view.best_single or own)) if arm in arms]),
        *([_differences(view, pairs)] if pairs else []),
        *_ratios(view),
    ]


def _spoilt(row: Evidence) -> bool:
    return row.condition != CLEAN and not row.condition.startswith("ood:") and "corruption" in row.provenance


def _finding(view: View) -> str:
    rows = view.find("worst_corruption")
    row = next((row for row in rows if row.arm == view.challenger), next(iter(rows), None))
    sentence = row.provenance.get("sentence") if row is not None else None
    return f"The worst of them: {sentence}" if sentence else "What each arm keeps when its inputs are spoilt."


def _key(row: Evidence) -> tuple[str, float]:
    level = row.provenance.get("level")
    return str(row.provenance["corruption"]), float(level) if isinstance(level, int | float) else 0.0


def _grid(view: View, rows: Sequence[Evidence], caption: str, clean: float, largest: float) -> Table:
    """Corruption × severity; the shade of a loss against `clean` is its share of the largest one."""
    placed = {_key(row): row for row in rows}
    kinds, steps = sorted({kind for kind, _ in placed}), sorted({step for _, step in placed})

    def cell(key: tuple[str, float]) -> Span:
        row = placed.get(key)
        value = defined(row)
        found = diverging(value - clean, largest, row.direction) if row is not None and value is not None else None
        return shaded(view.cell(row), found)

    columns = (Column("Corruption"), *(Column(f"severity {step:g}" if step else "", numeric=True) for step in steps))
    lines = tuple(
        Row((Span(kind.replace("_", " "), tone="name"), *(cell((kind, step)) for step in steps))) for kind in kinds
    )
    return Table(caption, columns, lines)


def _levels(view: View, rows: Sequence[Evidence], arms: Sequence[str]) -> list[Block]:
    """One table an arm, all shaded on the same scale."""
    own = {arm: found for arm in arms if (found := [row for row in rows if row.arm == arm])}
    clean = {arm: defined(view.level(arm, found[0].quantity)) for arm, found in own.items()}
    losses = [
        abs(value - (clean[arm] or 0.0)) for arm in clean for row in own[arm] if (value := defined(row)) is not None
    ]
    tables: list[Block] = []
    for arm, base in clean.items():
        on_clean = f"; {base:.1f} on clean inputs" if base is not None else ""
        caption = f"{arm}: {measure(own[arm][0])}{on_clean}"
        tables.append(_grid(view, own[arm], caption, base or 0.0, max(losses, default=0.0)))
    return tables


def _differences(view: View, rows: Sequence[Evidence]) -> Table:
    first = rows[0]
    caption = f"{first.arm} minus {first.versus}: {measure(first)}, {first.direction} is better"
    largest = max((abs(value) for row in rows if (value := defined(row)) is not None), default=0.0)
    return _grid(view, rows, caption, 0.0, largest)


def _ratios(view: View) -> list[Block]:
    names = [name for name in RATIOS if view.find(name)]
    arms = list(dict.fromkeys(row.arm for name in names for row in view.find(name)))
    if not arms:
        return []
    reference = next(row.versus for row in view.find(names[0]))
    columns = [
        Column("Arm"),
        *(Column(view.column(name, paired=True).title, "lower is better", numeric=True) for name in names),
    ]
    columns.append(Column("Where"))
    lines = []
    for arm in arms:
        found = [next(iter(view.find(name, arm=arm)), None) for name in names]
        worst = next(iter(view.find("worst_corruption", arm=arm)), None)
        where = _where(worst) if worst is not None and "corruption" in worst.provenance else ""
        lines.append(Row((Span(arm, tone="name"), *map(view.cell, found), Span(where)), arm == view.winner))
    return [
        Table(f"Errors under corruption, times those of {reference}; below 1 is sturdier", tuple(columns), tuple(lines))
    ]


def _where(row: Evidence) -> str:
    kind, step = _key(row)
    return f"{kind.replace('_', ' ')}{f', severity {step:g}' if step else ''}"
