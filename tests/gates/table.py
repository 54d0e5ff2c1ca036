"""`python -m gates.table FILE`: every cell of the gates, one after the other, as the page that docs keep."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from pathlib import Path

from gates.grid import (
    EQUIVALENCE_LEVEL,
    FAMILY_LEVEL,
    LEVEL,
    POWER,
    TRIALS,
    Row,
    locked_cells,
    most,
    other_cells,
    problems,
)

HEAD = """# Release gates of the judge

Simulated predictions whose truth is known, judged by the functions the judge uses (`moments`, `corrected`, `statuses`,
`crossed_bootstrap`, `max_t`). {trials:,} simulations a cell. Written by `pytest -m gates tests/gates --gates-page
docs/gates.md`, which is `make gates` with a page.

Held are: false claims at most {level:.1f} % (of `better` at no difference, and at a difference equal to the margin),
false equivalence at a difference equal to the margin at most {equal:.0f} %, any false claim in a family at most
{family:.0f} %, coverage of 95 %, and power of at least {power:.0f} % at the detectable effect that is printed. A share
may pass its level by chance: with {trials:,} simulations up to {most:.1f} % for {level:.1f} %, {five:.1f} % for 5 %.

"""
NOTES = {
    "locked": (
        "Two arms of 85 % that share hard items. `spread`: standard deviation of a run's true accuracy, in points;"
        " `persistence`: share of an arm's own errors that its runs have in common; `own`: how much the arms' errors"
        " differ. The effect is the mean of what is printed in trials without a difference. Where an effect is large,"
        " the better arm errs rarely and varies less, so that power is above the 80 % that equal spreads would give."
    ),
    "chosen on validation": "The winner is the best of five equal candidates on rows apart.",
    "family": "All pairs of five equal arms.",
    "required": "All three comparisons must be shown; one opponent is as good as the winner.",
    "cross-fitted": (
        "Two stable learners (nearest class mean) that are equally good in expectation. False claims are those about"
        " the trained models, whose true difference is known; with repeats also those about the methods. Told beside:"
        " false claims about the methods, and what the interval over items alone would make."
    ),
    "cross-fitted, unstable": (
        "**A known limit, told and not held.** Learners that jump: each is the best of ten columns, chosen anew in each"
        " fold. Rows that judge one fold help to choose in the others, and no variance from one data set makes up for"
        " that: intervals are too narrow. Repeats with the corrected variance halve the excess. The report says so"
        " where an arm was chosen in each fold."
    ),
    "bootstrap": "Metrics that are no means over items: centred percentiles; told beside what BCa would make.",
}
TITLES = {
    "false_at_0": "false at 0",
    "false_at_margin": "false at margin",
    "false_equivalent": "false equivalent",
    "family_false": "false in family",
    "power": "power",
    "effect": "printed effect",
    "coverage": "coverage",
}


def shown(row: Row, name: str) -> str:
    """One share in per cent, or nothing."""
    value = getattr(row, name)
    return "" if value is None else f"{100 * value:.1f}"


def lines(rows: Sequence[Row]) -> list[str]:
    """The table as text, with what a cell breaks."""
    found = []
    for row in rows:
        facts = [f"{title} {shown(row, name)} %" for name, title in TITLES.items() if shown(row, name)]
        broken = problems(row)
        verdict = f"  BROKEN: {'; '.join(broken)}" if broken else ""
        found.append(f"{row.group}: {row.cell}: {', '.join([*facts, *([row.told] if row.told else [])])}{verdict}")
    return found


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Group after group, and cells by the numbers in their names."""

    def key(row: Row) -> tuple[int, list[tuple[bool, float, str]]]:
        parts = re.findall(r"[\d.,]*\d|[^\d]+", row.cell)
        numbers = [float(part.replace(",", "")) if part[0].isdigit() else None for part in parts]
        return list(NOTES).index(row.group), [
            (number is None, number or 0.0, part) for number, part in zip(numbers, parts, strict=True)
        ]

    return sorted(rows, key=key)


def page(rows: Sequence[Row]) -> str:
    """The page for docs."""
    text = HEAD.format(
        trials=TRIALS, level=100 * LEVEL, equal=100 * EQUIVALENCE_LEVEL, family=100 * FAMILY_LEVEL, power=100 * POWER,
        most=100 * most(LEVEL, TRIALS), five=100 * most(FAMILY_LEVEL, TRIALS),
    )  # fmt: skip
    broken = [row for row in rows if problems(row)]
    total = sum(1 for _ in chain(locked_cells(), other_cells()))
    some = (
        ""
        if len(rows) >= total
        else f" The other {total - len(rows)} cells of `make gates` were not run for this page."
    )
    told = [row for row in rows if all(getattr(row, name) is None for name in TITLES)]
    beside = f", {len(told)} are told and not held" if told else ""
    text += f"{len(rows)} cells: {len(rows) - len(broken) - len(told)} hold, {len(broken)} do not{beside}.{some}\n"
    for group, held in groupby(rows, key=lambda row: row.group):
        cells = list(held)
        names = [name for name in TITLES if any(shown(row, name) for row in cells)]
        told = any(row.told for row in cells)
        titles = ["cell", *(f"{TITLES[name]}, %" for name in names), *(["told"] if told else []), ""]
        text += f"\n## {group.capitalize()}\n\n{NOTES[group]}\n\n| {' | '.join(titles)} |\n"
        text += "|---" + "|--:" * len(names) + ("|---" if told else "") + "|---|\n"
        for row in cells:
            values = [row.cell, *(shown(row, name) for name in names), *([row.told] if told else [])]
            text += f"| {' | '.join([*values, '; '.join(problems(row)) or ('holds' if names else '')])} |\n"
    return text


def run(cells: Iterable[object]) -> list[Row]:
    """All rows, printed as they come."""
    rows = []
    for cell in cells:
        began = time.process_time()
        row = cell()  # pyright: ignore[reportCallIssue]
        rows.append(row)
        print(f"{time.process_time() - began:5.1f} s  {lines([row])[0]}", flush=True)
    return rows


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(in_order(run(chain(locked_cells(), other_cells())))), encoding="utf-8")
