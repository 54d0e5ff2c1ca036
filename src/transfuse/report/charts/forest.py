"""Differences with their intervals around zero; without it overlap with the margin would have to be worked out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transfuse.report.blocks import Tone
from transfuse.report.charts.axes import SMALL, Scale, bottom, reach
from transfuse.report.charts.pen import Sheet, crowded, label, width_of

STEP, TOP, BELOW = 27.0, 26.0, 44.0
LINE = 16.0
# So many times as far as half of the lines reach: what reaches farther would press all others into one point.
FAR = 4.0


@dataclass(frozen=True)
class Mark:
    """One line: the number with its interval in the unit of the axis, as it is written, and how it is coloured."""

    label: str
    value: float
    low: float | None
    high: float | None
    tone: Tone
    words: str = ""


@dataclass(frozen=True)
class Look:
    """The axis' title, the margin's band, whether left is better, and words at the two ends."""

    axis: str
    margin: float | None = None
    lower_is_better: bool = False
    ends: tuple[str, str] = ("← worse", "better →")
    bars: bool = False


def draw(width: float, marks: Sequence[Mark], look: Look) -> str:
    """One line a mark, right is better. On a phone name and number stand above their line, one above the other where
    they do not fit side by side.
    """
    slim = width < 500
    names = [label(mark.label, 40) for mark in marks]
    inset = 8.0 if slim else min(max(map(width_of, names)), 275.0) + 14
    written = 0.0 if slim else max((width_of(mark.words, SMALL) for mark in marks), default=0.0)
    words = [mark.words for mark in marks]
    over = LINE if slim and crowded(list(zip(names, words, strict=True)), width - inset - 4, SMALL) else 0.0
    step = 40.0 + over if slim else STEP
    sheet = Sheet(width, TOP + step * len(marks) + BELOW)
    scale = _scale(marks, look, inset, width - 10 - (written + 18 if written else 0))
    floor = TOP + step * len(marks)
    if look.margin:
        edges = sorted(scale.at(sign * look.margin) for sign in (-1, 1))
        sheet.box((edges[0], TOP), (edges[1] - edges[0], floor - TOP), "band")
    sheet.line((scale.at(0), TOP), (scale.at(0), floor), "ink", 1.2)
    for place, (mark, name) in enumerate(zip(marks, names, strict=True)):
        y = TOP + step * (place + 0.5) + (9 + over / 2 if slim else 0)
        _line(sheet, scale, mark, y, bar=look.bars)
        if slim:
            sheet.write((inset, y - 18 - over), name)
            sheet.write((width - 4, y - 18), mark.words, "end", _ink(mark), size=SMALL)
        else:
            sheet.write((inset - 12, y), name, "end")
            sheet.write((width - 4, y), mark.words, "end", _ink(mark), size=SMALL)
    bottom(sheet, scale, floor + 2, look.axis)
    low, high = sorted((scale.start, scale.end))
    sheet.write((low, TOP - 13), look.ends[0], "start", "muted", size=SMALL)
    sheet.write((high, TOP - 13), look.ends[1], "end", "muted", size=SMALL)
    return sheet.svg()


def cut(marks: Sequence[Mark], look: Look) -> bool:
    """Whether some line reaches beyond the axis, and ends there in an arrow."""
    limit = _limit(marks, look)
    return any(_reached(mark) > limit for mark in marks)


def _limit(marks: Sequence[Mark], look: Look) -> float:
    reached = sorted(_reached(mark) for mark in marks)
    return max(FAR * reached[len(reached) // 2], look.margin or 0.0) if reached else 0.0


def _reached(mark: Mark) -> float:
    return max(abs(number) for number in (mark.value, mark.low, mark.high) if number is not None)


def _scale(marks: Sequence[Mark], look: Look, start: float, end: float) -> Scale:
    band = [-look.margin * 1.15, look.margin * 1.15] if look.margin else []
    limit = _limit(marks, look)
    drawn = [number for mark in marks for number in (mark.value, mark.low, mark.high) if number is not None]
    low, high = reach([0.0, *band, *(number for number in drawn if abs(number) <= limit)])
    return Scale(low, high, end, start) if look.lower_is_better else Scale(low, high, start, end)


def _ink(mark: Mark) -> str:
    return "ink" if mark.tone in ("plain", "name") else str(mark.tone)


def _line(sheet: Sheet, scale: Scale, mark: Mark, y: float, *, bar: bool) -> None:
    ink = _ink(mark)
    x = scale.at(mark.value)
    if bar:
        zero = scale.at(0)
        sheet.box((min(zero, x), y - 7), (abs(x - zero), 14), ink, 0.35)
    if mark.low is not None and mark.high is not None:
        for end in (mark.low, mark.high):
            _end(sheet, scale, end, y, ink)
        sheet.line((scale.at(mark.low), y), (scale.at(mark.high), y), ink, 2.4)
    shape = {"better": "up", "worse": "down", "equivalent": "square", "muted": "disc"}.get(mark.tone, "disc")
    sheet.mark((x, y), ink, shape, 4.2, hollow=mark.tone == "not shown")


def _end(sheet: Sheet, scale: Scale, end: float, y: float, ink: str) -> None:
    """A short stroke where an interval ends, an arrow where it runs on beyond the axis."""
    x = scale.at(end)
    back = 0.0 if scale.low <= end <= scale.high else 6.0 if x < (scale.start + scale.end) / 2 else -6.0
    if back:
        sheet.line((x, y), (x + back, y - 4), ink, 1.4)
        sheet.line((x, y), (x + back, y + 4), ink, 1.4)
    else:
        sheet.line((x, y - 4), (x, y + 4), ink, 1.4)
