"""Which answers change when one arm replaces another; without it a gain could hide that many right answers are lost."""

from __future__ import annotations

from transfuse.figures import plural
from transfuse.report.blocks import Block, Column, Gallery, Heading, Picture, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.pieces import defined
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

ORDER = 48
NAMES = ("positive_flips", "negative_flips", "mcnemar_midp")
SHOWN = {"negative_flips": ("wrong", 12), "positive_flips": ("right", 6)}


def blocks(view: View) -> list[Block]:
    """One row a comparison: newly right, newly wrong, and McNemar's test, run by run and never pooled; then the items
    of the deciding comparison that changed most."""
    pairs = list(dict.fromkeys((row.arm, row.versus) for name in NAMES for row in view.find(name) if row.versus))
    if not pairs:
        return []
    rows = tuple(_row(view, arm, versus) for arm, versus in pairs if versus)
    columns = (
        Column("Change"),
        Column("Newly right", "%, higher is better", numeric=True),
        Column("Newly wrong", "%, lower is better", numeric=True),
        Column("McNemar mid-p", "one test a run", numeric=True),
    )
    told = (
        "What a user notices after a switch: items that become right, and items that were right and become wrong. "
        "McNemar's p tells how likely so uneven a split would be if both arms were equally good; it is given run "
        "by run, because the runs share their items."
    )
    return [
        Heading("What changes for single items", "flips", "Changes", _finding(view), folded=True),
        Text((told,)),
        Table("Changed answers", columns, rows),
        *_galleries(view),
    ]


def items_shown(view: View) -> list[str]:
    """The ids of the items that the section shows, each once: what pictures are worth making of."""
    found = [name for _, _, items in _changed(view) for name, *_ in items]
    return list(dict.fromkeys(found))


def _couple(view: View) -> tuple[str, str] | None:
    """The comparison that decides, where its answers were compared, else the first one that was."""
    if view.rival and view.find("negative_flips", arm=view.challenger, versus=view.rival):
        return view.challenger, view.rival
    first = next(iter(view.find("negative_flips")), None)
    return (first.arm, first.versus) if first is not None and first.versus else None


def _finding(view: View) -> str:
    couple = _couple(view)
    if couple is None:
        return "Answers that change when one arm replaces another."
    won, lost = (next(iter(view.find(name, arm=couple[0], versus=couple[1])), None) for name in NAMES[:2])
    if won is None or lost is None:
        return "Answers that change when one arm replaces another."
    gained, given = (spell(row, interval=False) for row in (won, lost))
    return f"With {couple[0]} instead of {couple[1]}, {gained} of items become right and {given} become wrong."


def _row(view: View, arm: str, versus: str) -> Row:
    spreads = [_spread(view, view.find(name, arm=arm, versus=versus)) for name in NAMES]
    return Row((Span(f"{arm} instead of {versus}", tone="name"), *spreads), (arm, versus) == _couple(view))


def _spread(view: View, rows: tuple[Evidence, ...]) -> Span:
    """One row as it is; several, one a run, as their range."""
    defined = sorted((row for row in rows if not isinstance(row.value, Undefined)), key=lambda row: float(row.value))  # pyright: ignore[reportArgumentType]
    if len(rows) < 2 or not defined:
        return view.cell(rows[0] if rows else None)
    low, high = (spell(row, interval=False, with_unit=False) for row in (defined[0], defined[-1]))
    missing = "; ".join(row.value.reason for row in rows if isinstance(row.value, Undefined))
    text = low if low == high else f"{low} to {high}"
    return Span(f"{text} ({len(defined)} runs)", tuple(row.id for row in rows), note=missing)


def _changed(view: View) -> list[tuple[str, Evidence, list[list[str]]]]:
    """Of the deciding comparison: `wrong` and `right`, the row, and [id, target, own answer, other answer] of items."""
    couple = _couple(view)
    found = []
    for name, (became, most) in SHOWN.items() if couple else ():
        row = next(iter(view.find(name, arm=couple[0], versus=couple[1])), None)  # pyright: ignore[reportOptionalSubscript]
        items = row.provenance.get("items") or () if row else ()
        kept = [[str(each) for each in item] for item in items if isinstance(item, list) and len(item) == 4][:most]
        if row is not None and kept:
            found.append((became, row, kept))
    return found


def _galleries(view: View) -> list[Block]:
    """Items that became wrong, then items that became right."""
    found: list[Block] = []
    for became, row, items in _changed(view):
        caption = f"Became {became} with {row.arm} instead of {row.versus}: {_of_all(row, len(items))}"
        found.append(Gallery(caption, tuple(_picture(view, row, *item) for item in items)))
    return found


def _of_all(row: Evidence, shown: int) -> str:
    """How many are shown of how many: the mean over the runs where there are several."""
    several, share = row.seeds > 1, defined(row)
    total = round((share or 0.0) * row.n / 100.0)
    order = ", those that changed in most runs first" if several else ""
    if total <= shown:
        return plural(shown, "item") + order
    return f"{shown} of {f'{total:,} a run on average' if several else plural(total, 'item')}{order}"


def _picture(view: View, row: Evidence, name: str, target: str, own: str, other: str) -> Picture:
    media, data = view.pictures.get(name, ("", ""))
    words = (Span(target, (row.id,), tone="name"), f"; {row.arm} says {own}, {row.versus} {other}")
    return Picture(name, words, media, data)
