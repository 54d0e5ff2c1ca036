"""What stands on both sides of the split, and whether the verdict hangs on it; without it recall counts as skill."""

from __future__ import annotations

from transfuse.figures import plural
from transfuse.report.blocks import Block, Column, Gallery, Heading, Picture, Prose, Row, Span, Table, Text
from transfuse.report.numbers import better, fixed, spell, unit
from transfuse.report.pieces import defined, share
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import STATUS
from transfuse.types import Evidence, Undefined

ORDER = 35
SHARE, APART, AMONG = "near_identical", "apart_", "near_"
TOLD = (
    "Photographs of one object, drawings of one series, crops, and texts that say the same may stand on both sides of "
    "the split. A judged row counts where, in a source's features, its nearest training row is at most half as far as "
    "its tenth nearest. By chance at most {} of rows are so near, a few percent where classes are spread very unlike. "
    "Where nearest rows in general often have another label and these rarely do, it was not chance. What more than "
    "nine training rows repeat is not seen."
)
REMEDY = (
    "Where such rows will not be met in use, the figures without them are the honest ones: a column of groups in the "
    "data keeps what belongs together on one side, `groups: near_duplicates` under `data` what looks alike."
)


def blocks(view: View) -> list[Block]:
    """Who finds how many, the arms with and without these rows, the claim that decides, and pairs to look at."""
    rows = view.find(SHARE)
    if not rows:
        return []
    rates = [float(row.provenance["rate"]) for row in rows if "rate" in row.provenance]
    told = [Text((TOLD.format(share(max(rates), 1)),))] if rates else []
    found: list[Block] = [
        Heading("Training rows that nearly repeat judged rows", "nearest", "Near-repeats", _finding(view), folded=True),
        *told,
        _finders(view, rows),
    ]
    whole = rows[-1]
    if not defined(whole):
        return found
    compared = _decides(view)
    found += [*_levels(view), *([Text(compared)] if compared else []), Text((REMEDY,))]
    return [*found, *_shown(view, whole)]


def items_shown(view: View) -> list[str]:
    """The ids of the items in the pairs that the section shows: what pictures are worth making of."""
    rows = view.find(SHARE)
    return list(dict.fromkeys(name for pair in (_pairs(rows[-1]) if rows else []) for name in pair[:2]))


def _finding(view: View) -> str:
    whole = view.find(SHARE)[-1]
    if isinstance(whole.value, Undefined):
        return "Whether training rows nearly repeat judged ones is undefined."
    count = int(whole.provenance.get("count") or 0)
    if not count:
        return f"None of {plural(whole.n, 'judged row')} has a near-identical training row."
    said = f"{count:,} of {plural(whole.n, 'judged row')} have a near-identical training row"
    row = _pair(view)
    if row is None or "status" not in row.provenance:
        return f"{said}."
    now, before = (STATUS[row.provenance[key]].lower() for key in ("status", "status_all"))
    same = f"still {now}" if now == before else f"{now} instead of {before}"
    return f"{said}; without them {row.arm} against {row.versus} is {same}."


def _finders(view: View, rows: tuple[Evidence, ...]) -> Table:
    """A line a finder; that labels differ in few pairs, and in many among nearest rows in general, speaks for it. Where
    items have not one class each, nothing is said of it."""
    classed = any("differ" in row.provenance for row in rows)
    apart = (
        Column("Of another label", "perhaps label noise", numeric=True),
        Column("Of another label, in general", "% of nearest training rows", numeric=True),
    )
    columns = (
        Column("Found by"),
        Column("Judged rows", numeric=True),
        Column("Share", "%", numeric=True),
        *(apart if classed else ()),
        Column("Within training", "% of training rows", numeric=True),
    )
    return Table("Who finds how many", columns, tuple(_finder(view, row, classed) for row in rows))


def _finder(view: View, row: Evidence, classed: bool) -> Row:
    about = row.provenance
    counts = [f"{about[key]:,}" if isinstance(about.get(key), int) else "–" for key in ("count", "differ")]
    rates = [fixed(100 * float(about[key]), 1) if key in about else "–" for key in ("differ_in_general", "own")]
    count, differ, general, own = (Span(text, (row.id,)) for text in (*counts, *rates))
    return Row((Span(row.arm, tone="name"), count, view.cell(row), *((differ, general) if classed else ()), own))


def _metrics(view: View) -> list[str]:
    """The measures that were taken without these rows, the deciding one first."""
    names = [row.quantity.removeprefix(APART) for row in view.evidence if row.quantity.startswith(APART)]
    return list(dict.fromkeys(names))


def _levels(view: View) -> list[Block]:
    """Each arm on all rows, on those without a near-identical training row, and on the others alone."""
    found: list[Block] = []
    for name in _metrics(view):
        rows = [row for row in view.find(APART + name) if row.versus is None]
        if not rows:
            continue
        among = {row.arm: row for row in view.find(AMONG + name)}
        hint = f"{unit(rows[0])}, {better(rows[0].direction)}"
        few = next(iter(among.values()), None)
        columns = [Column("Arm"), Column("All judged rows", hint, numeric=True)]
        columns.append(Column(f"Without them ({rows[0].n:,} rows)", hint, numeric=True))
        columns += [Column(f"Them alone ({few.n:,} rows)", hint, numeric=True)] if few is not None else []
        lines = tuple(
            Row(
                (
                    Span(row.arm, tone="name"),
                    view.cell(view.level(row.arm, name)),
                    view.cell(row),
                    *([view.cell(among.get(row.arm))] if few is not None else []),
                ),
                row.arm == view.winner,
            )
            for row in rows
        )
        found.append(Table(f"{quantity(name).title} with and without them", tuple(columns), lines))
    return found


def _pair(view: View) -> Evidence | None:
    """The winner against the best single without these rows, in the deciding measure."""
    names = _metrics(view)
    rows = [row for row in view.find(APART + names[0]) if row.versus] if names else []
    return rows[0] if rows else None


def _decides(view: View) -> Prose:
    """The claim that decides, with and without."""
    row = _pair(view)
    if row is None or "status" not in row.provenance:
        return ()
    name = str(row.provenance.get("metric"))
    whole = view.paired(row.arm, row.versus or "", name)
    now, before = (str(row.provenance[key]) for key in ("status", "status_all"))
    said: Prose = (
        Span(f"{row.arm} against {row.versus}", tone="name"),
        f", {quantity(name).title}: without these rows ",
        Span(spell(row), (row.id,)),
    )
    if whole is not None:
        said = (*said, ", on all rows ", Span(spell(whole), (whole.id,)))
    alone = ", by its own interval, not corrected for the other comparisons" if whole and whole.family else ""
    if now == before:
        return (*said, f". {STATUS[now]} either way{alone}.")  # pyright: ignore[reportArgumentType]
    fewer = "Fewer rows make wider intervals; look at the difference itself, too."
    return (*said, f". {STATUS[now]} instead of {STATUS[before].lower()}{alone}. {fewer}")  # pyright: ignore[reportArgumentType]


def _pairs(row: Evidence) -> list[list[str]]:
    """Judged id, training id, their classes, and the ratio of distances; empty where one is not known."""
    found = row.provenance.get("pairs") or ()
    return [["" if each is None else str(each) for each in pair] for pair in found if len(pair) == 5]


def _shown(view: View, row: Evidence) -> list[Block]:
    """Pairs as pictures where there are any, else as names."""
    pairs = _pairs(row)
    classed = any(pair[2] or pair[3] for pair in pairs)
    lead = f"Pairs to look at: {'those of different labels, ' if classed else ''}the nearest, and the least near"
    if any(name in view.pictures for pair in pairs for name in pair[:2]):
        pictures = [_picture(view, row, pair, side) for pair in pairs for side in (0, 1)]
        return [Gallery(f"{lead}; each judged item is followed by its training item", tuple(pictures))]
    named = (Column("Labels"),) if classed else ()
    columns = (Column("Judged item"), Column("Training item"), *named, Column("Distance", numeric=True))
    lines = tuple(
        Row((
            Span(pair[0], tone="name"),
            Span(pair[1]),
            *([Span(_labels(pair))] if classed else []),
            Span(pair[4] or "–", (row.id,)),
        ))
        for pair in pairs
    )  # fmt: skip
    return [Table(f"{lead}; the distance is a share of that to the tenth nearest", columns, lines)]


def _picture(view: View, row: Evidence, pair: list[str], side: int) -> Picture:
    media, data = view.pictures.get(pair[side], ("", ""))
    far = f", at {float(pair[4]):.2g} of the tenth's distance" if pair[4] else ""
    told = "judged" if side == 0 else f"in training{far}"
    label = pair[2 + side]
    words: Prose = (Span(label, (row.id,), tone="name"), f"; {told}") if label else (told,)
    return Picture(pair[side], words, media, data)


def _labels(pair: list[str]) -> str:
    return pair[2] if pair[2] == pair[3] else f"{pair[2]}, {pair[3]}"
