"""Quality against cost; without it a reader could not see what a step in quality costs, or that it costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transfuse.report.charts.axes import SMALL, Frame, Scale, bottom, left, log_reach, reach
from transfuse.report.charts.pen import XY, Sheet, label, width_of

OFFSETS = [(right, down) for down in (0, -13, 13, -26, 26, -39, 39, -52, 52) for right in (11, -11)]


@dataclass(frozen=True)
class Point:
    """One arm against its cost: `front` says that nothing dominates it, `marked` that it is the one to ship."""

    label: str
    cost: float
    value: float
    low: float | None
    high: float | None
    role: str
    front: bool
    marked: bool


@dataclass(frozen=True)
class Axes:
    """Titles, direction, whether the front is joined by steps, and pairs of points that a thin line joins."""

    across: str
    up: str
    lower_is_better: bool
    joined: bool = True
    links: tuple[tuple[str, str], ...] = ()


def draw(width: float, points: Sequence[Point], axes: Axes) -> str:
    """Costs above 0 on a logarithmic axis; up is better. Dominated arms are grey and hollow, what ships is ringed."""
    height = 400.0 if width > 500 else 330.0
    sheet = Sheet(width, height)
    frame = _frame(width, height, points, axes)
    left(sheet, frame.up, frame.across, axes.up)
    bottom(sheet, frame.across, height - 42, axes.across, counted=True)
    spots = {point.label: frame.spot(point.cost, point.value) for point in points}
    for one, other in axes.links:
        if one in spots and other in spots:
            sheet.line(spots[one], spots[other], "line", 1.2)
    if axes.joined:
        _steps(sheet, frame, points)
    for point in sorted(points, key=lambda each: (each.marked, each.front)):
        _point(sheet, frame, point)
    _names(sheet, frame, points, spots)
    return sheet.svg()


def _frame(width: float, height: float, points: Sequence[Point], axes: Axes) -> Frame:
    heights = [number for point in points for number in (point.value, point.low, point.high) if number is not None]
    low, high = reach(heights, room=0.08)
    up = Scale(low, high, 30.0, height - 44) if axes.lower_is_better else Scale(low, high, height - 44, 30.0)
    cheap, dear = log_reach([point.cost for point in points], 0.12)
    return Frame(Scale(cheap, dear, 52.0, width - 8, log=True), up)


def _steps(sheet: Sheet, frame: Frame, points: Sequence[Point]) -> None:
    """From front arm to front arm along what their cost buys; those that are not shown dominated but lie below the line
    are passed over."""
    corners: list[XY] = []
    for x, y in sorted(frame.spot(point.cost, point.value) for point in points if point.front):
        if corners and y >= corners[-1][1]:
            continue
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    if len(corners) > 1:
        sheet.polyline(corners, "accent", 1.4, "5 4")


def _point(sheet: Sheet, frame: Frame, point: Point) -> None:
    ink = "accent" if point.marked else "ink" if point.front else "faded"
    at = frame.spot(point.cost, point.value)
    if point.low is not None and point.high is not None:
        sheet.line((at[0], frame.up.at(point.low)), (at[0], frame.up.at(point.high)), ink, 1.3)
    shape = {"candidate": "diamond", "baseline": "disc"}.get(point.role, "square")
    sheet.mark(at, ink, shape, hollow=not point.front and not point.marked)
    if point.marked:
        sheet.ring(at, ink, 9.5)


def _names(sheet: Sheet, frame: Frame, points: Sequence[Point], spots: dict[str, XY]) -> None:
    """Names where they cover no other name or point: the shipped arm first, then the front; a phone leaves out what
    finds no place."""
    slim = sheet.width < 500
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in spots.values()]
    for point in sorted(points, key=lambda each: (not each.marked, not each.front, spots[each.label][1])):
        if slim and not (point.front or point.marked or point.role == "baseline"):
            continue
        words, (x, y) = label(point.label, 24), spots[point.label]
        length = width_of(words, SMALL)
        boxes = {}
        for right, down in OFFSETS:
            start = x + right - (length if right < 0 else 0)
            boxes[right, down] = (start, y + down - 7, start + length, y + down + 7)
        inside = [
            (offset, box)
            for offset, box in boxes.items()
            if box[0] > frame.across.start - 10 and box[2] < sheet.width and box[1] > 20 and box[3] < sheet.height - 42
        ]
        free = next(((offset, box) for offset, box in inside if not any(_meet(box, other) for other in taken)), None)
        if free is None:
            continue
        (right, down), box = free
        taken.append(box)
        ink = "accent" if point.marked else "ink" if point.front else "muted"
        if abs(down) > 14:
            sheet.line((x, y), (x + right, y + down), "muted", 0.8)
        anchor = "start" if right > 0 else "end"
        sheet.write((x + right, y + down), words, anchor, ink, size=SMALL, bold=point.marked)


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
