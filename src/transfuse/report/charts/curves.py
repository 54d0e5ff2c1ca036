"""Lines over a common axis; without them a table of sizes would hide where two arms meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transfuse.report.charts.axes import SMALL, Frame, Scale, bottom, left, log_reach, reach
from transfuse.report.charts.pen import XY, Anchor, Sheet, label, width_of

SERIES = ("series-1", "series-2", "series-3", "series-4", "series-5", "series-6")
SHAPES = ("disc", "square", "diamond", "up", "down", "cross")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 3")
MOST = len(SERIES)


@dataclass(frozen=True)
class Line:
    """One arm's points from left to right, perhaps with their intervals; `weights` make marks larger or smaller."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Plane:
    """Titles and scales. `level` is a line across with its words; `diagonal` draws y = x; `zero` starts y there."""

    across: str
    up: str
    log: bool = False
    counted: bool = False
    marks: bool = True
    level: tuple[float, str] | None = None
    diagonal: bool = False
    zero: bool = False
    x_limits: tuple[float | None, float | None] = (None, None)
    y_limits: tuple[float | None, float | None] = (None, None)


def draw(width: float, lines: Sequence[Line], plane: Plane) -> str:
    """At most six lines, told apart by colour, dash and mark; names stand at their ends, on a phone above."""
    slim = width < 500
    height = 340.0 if not slim else 300.0
    shown = lines[:MOST]
    names = [label(line.label, 28) for line in shown]
    rows = _legend_rows(names, width) if slim else []
    room = 10.0 if slim else max(width_of(name, SMALL) for name in names) + 22
    head = 34.0 + 18 * len(rows)
    sheet = Sheet(width, height + 18 * len(rows))
    frame = _frame(shown, plane, (50.0, width - room), (head, sheet.height - 44))
    left(sheet, frame.up, frame.across, plane.up)
    if slim:
        _legend(sheet, rows, names, plane.marks)
    bottom(sheet, frame.across, sheet.height - 42, plane.across, counted=plane.counted)
    _guides(sheet, frame, plane)
    for place, line in enumerate(shown):
        _line(sheet, frame, line, place, plane)
    if not slim:
        _ends(sheet, frame, shown, names)
    return sheet.svg()


def _frame(lines: Sequence[Line], plane: Plane, across: XY, down: XY) -> Frame:
    x = [number for line in lines for number in line.x]
    low, high = log_reach(x, 0.03) if plane.log else reach(x, room=0.03, floor=plane.x_limits[0], top=plane.x_limits[1])
    y = [number for line in lines for number in (*line.y, *line.low, *line.high) if number is not None]
    y += [plane.level[0]] if plane.level else []
    bottom_y, top_y = reach(y, floor=plane.y_limits[0], top=plane.y_limits[1])
    bottom_y = 0.0 if plane.zero else bottom_y
    if plane.diagonal:
        (low, high), (bottom_y, top_y) = (0.0, 100.0), (0.0, 100.0)
    return Frame(Scale(low, high, *across, log=plane.log), Scale(bottom_y, top_y, down[1], down[0]))


def _guides(sheet: Sheet, frame: Frame, plane: Plane) -> None:
    if plane.level:
        value, words = plane.level
        y = frame.up.at(value)
        sheet.line((frame.across.start, y), (frame.across.end, y), "muted", 1.2, "3 3")
        sheet.write((frame.across.end - 2, y - 8), words, "end", "muted", size=SMALL)
    if plane.diagonal:
        sheet.line(frame.spot(0, 0), frame.spot(100, 100), "muted", 1.2, "3 3")
        sheet.write(frame.spot(3, 93), "too timid", "start", "muted", size=SMALL)
        sheet.write(frame.spot(97, 7), "too sure", "end", "muted", size=SMALL)


def _line(sheet: Sheet, frame: Frame, line: Line, place: int, plane: Plane) -> None:
    ink, spots = SERIES[place], [frame.spot(x, y) for x, y in zip(line.x, line.y, strict=True)]
    if line.low and line.high:
        for (x, _), low, high in zip(spots, line.low, line.high, strict=True):
            if low is not None and high is not None:
                sheet.line((x, frame.up.at(low)), (x, frame.up.at(high)), ink, 1.3)
    sheet.polyline(spots, ink, 2.2, DASHES[place])
    if plane.marks or len(spots) == 1:
        sizes = [4.0] * len(spots)
        if line.weights:
            largest = max(line.weights)
            sizes = [2.2 + 6.0 * (weight / largest) ** 0.5 for weight in line.weights]
        for spot, size in zip(spots, sizes, strict=True):
            sheet.mark(spot, ink, SHAPES[place], size)


def _ends(sheet: Sheet, frame: Frame, lines: Sequence[Line], names: Sequence[str]) -> None:
    """Names at the right ends, pushed apart where they would touch."""
    order = sorted(range(len(lines)), key=lambda place: frame.up.at(lines[place].y[-1]))
    ends = {place: frame.spot(lines[place].x[-1], lines[place].y[-1]) for place in order}
    low, high = sorted((frame.up.start, frame.up.end))
    heights = spread([ends[place][1] for place in order], 15.0, low, high)
    for place, y in zip(order, heights, strict=True):
        x, x_end = ends[place][0], frame.across.end
        if abs(y - ends[place][1]) > 6 or x_end - x > 8:
            sheet.line((x + 5, ends[place][1]), (x_end + 8, y), SERIES[place], 0.8, "1 2")
        sheet.write((x_end + 12, y), names[place], "start", SERIES[place], size=SMALL, bold=not place)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Rising places near the wanted ones, `gap` apart, within [low, high] where that is wide enough."""
    found: list[float] = []
    for place in wanted:
        found.append(max(place, found[-1] + gap) if found else max(place, low))
    over = found[-1] - high if found else 0.0
    for index in range(len(found) - 1, -1, -1):
        limit = high if index == len(found) - 1 else found[index + 1] - gap
        if over > 0:
            found[index] = min(found[index], limit)
    return found


def _legend_rows(names: Sequence[str], width: float) -> list[list[int]]:
    """Which names stand on which line above the plot."""
    rows: list[list[int]] = [[]]
    x = 0.0
    for place, name in enumerate(names):
        length = _legend_width(name, place)
        if rows[-1] and x + length > width:
            rows.append([])
            x = 0.0
        rows[-1].append(place)
        x += length
    return rows


def _legend(sheet: Sheet, rows: Sequence[Sequence[int]], names: Sequence[str], marks: bool) -> None:
    for row, places in enumerate(rows):
        x, y, anchor = 4.0, 9.0 + 18 * row, "start"
        for place in places:
            sheet.polyline([(x, y), (x + 20, y)], SERIES[place], 2.2, DASHES[place])
            if marks:
                sheet.mark((x + 10, y), SERIES[place], SHAPES[place], 3.6)
            _name(sheet, (x + 26, y), names[place], anchor, place)
            x += _legend_width(names[place], place)


def _legend_width(name: str, place: int) -> float:
    """The room of a name with its sample and the gap after it; the first name is bold, which is wider."""
    return width_of(name, SMALL) * (1.0 if place else 1.15) + 44


def _name(sheet: Sheet, at: XY, words: str, anchor: Anchor, place: int) -> None:
    sheet.write(at, words, anchor, SERIES[place], size=SMALL, bold=not place)
