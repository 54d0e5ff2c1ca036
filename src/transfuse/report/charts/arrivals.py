"""When each run arrived, and which never did; without it a mean time would hide the runs that were given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transfuse.report.charts.axes import SMALL, Scale, bottom
from transfuse.report.charts.pen import Sheet, crowded, label, width_of

TOP, BELOW, LINE = 22.0, 44.0, 16.0


@dataclass(frozen=True)
class Arrival:
    """One arm: the times of the runs that arrived, until when each of the others was watched, and the mean time."""

    label: str
    reached: tuple[float, ...]
    watched: tuple[float, ...]
    mean: float | None
    words: str


def draw(width: float, rows: Sequence[Arrival], axis: str) -> str:
    """A line an arm: a disc a run that arrived, an open arrow at the end of watching for one that did not."""
    slim = width < 500
    names = [label(row.label, 40 if slim else 34) for row in rows]
    inset = 8.0 if slim else min(max(map(width_of, names)), 250.0) + 14
    written = 0.0 if slim else max((width_of(row.words, SMALL) for row in rows), default=0.0) + 14
    words = [row.words for row in rows]
    over = LINE if slim and crowded(list(zip(names, words, strict=True)), width - inset - 4, SMALL) else 0.0
    step = 40.0 + over if slim else 27.0
    floor = TOP + step * len(rows)
    sheet = Sheet(width, floor + BELOW)
    high = max((time for row in rows for time in (*row.reached, *row.watched)), default=1.0) * 1.06 or 1.0
    scale = Scale(0.0, high, inset, width - 12 - written)
    for place, (row, name) in enumerate(zip(rows, names, strict=True)):
        y = TOP + step * (place + 0.5) + (9 + over / 2 if slim else 0)
        sheet.line((scale.start, y), (scale.end, y), "line")
        if row.mean is not None:
            sheet.line((scale.at(row.mean), y - 9), (scale.at(row.mean), y + 9), "accent", 2.4)
        for time in row.reached:
            sheet.mark((scale.at(time), y), "ink", "disc", 4.0)
        for time in row.watched:
            sheet.mark((scale.at(time), y), "muted", "arrow", 5.0, hollow=True)
        at, anchor = ((inset, y - 18 - over), "start") if slim else ((inset - 12, y), "end")
        sheet.write(at, name, anchor)
        sheet.write((width - 4, y - 18 if slim else y), row.words, "end", "muted", size=SMALL)
    bottom(sheet, scale, floor + 2, axis, counted=True)
    return sheet.svg()
