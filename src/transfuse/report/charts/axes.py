"""Scales, ticks and the frame of a plot; without them every drawing would place its numbers in its own way."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from transfuse.figures import LEAST_WRITTEN, MOST_PLACES, MOST_WRITTEN, exponent, fixed, scaled
from transfuse.report.charts.pen import XY, Sheet, width_of

SMALL = 11.5


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` on pixels from `start` to `end`; logarithmic where all numbers are above 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, number: float) -> float:
        """The pixel of a number; what lies beyond the ends is put on the nearer one."""
        low, high, place = (self._turned(each) for each in (self.low, self.high, min(max(number, self.low), self.high)))
        return self.start + (self.end - self.start) * ((place - low) / (high - low) if high > low else 0.5)

    def _turned(self, number: float) -> float:
        return math.log(number) if self.log else number

    def ticks(self, most: int) -> list[float]:
        """Round numbers on the scale, at most about so many, two at least where there is room for them."""
        return log_ticks(self.low, self.high, most) if self.log else even_ticks(self.low, self.high, most)


# Closer numbers than this are one: their distance has no power of ten of its own.
TINY = 1e-300


def even_ticks(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high]; `low` alone where nothing lies between."""
    if not high - low > TINY:
        return [low]
    rough = (high - low) / max(most, 2)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    exact = 12 - exponent(step)
    return [round(step * place, exact) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """1, 2 and 5 times powers of ten within [low, high]; powers only where those are many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for units in ((1, 2, 5), (1, 3), (1,)):
        found = [unit * 10.0**decade for decade in decades for unit in units]
        inside = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
        if len(inside) <= most:
            return inside
    every = -(-len(inside) // most)
    return inside[::every]


def reach(numbers: Sequence[float], *, room: float = 0.06, floor: float | None = None, top: float | None = None) -> XY:
    """The least and greatest number with some room on both sides, never beyond `floor` and `top`."""
    low, high = min(numbers), max(numbers)
    pad = room * (high - low) or abs(high) * 0.05 or 1.0
    low, high = low - pad, high + pad
    return (low if floor is None else max(low, floor)), (high if top is None else min(high, top))


def log_reach(numbers: Sequence[float], room: float = 0.08) -> XY:
    """As `reach` for numbers above 0 on a logarithmic scale; at least a factor of two apart."""
    low, high = min(numbers), max(numbers)
    factor = max(high / low, 2.0) ** room
    if high / low < 2.0:
        factor *= (2.0 / (high / low)) ** 0.5
    return low / factor, high * factor


def tick_words(ticks: Sequence[float], *, counted: bool = False) -> list[str]:
    """Ticks in words with as many decimals as tell them apart; `counted` numbers get k, M, G."""
    if counted:
        return [re.sub(r"\.0+(?= |$)|(?<=\.\d)0(?= |$)", "", scaled(tick)) for tick in ticks]
    size = max(abs(tick) for tick in ticks)
    places, most = (0, MOST_PLACES) if size < MOST_WRITTEN else (-exponent(size), MOST_PLACES)
    if 0.0 < size < LEAST_WRITTEN:
        places = most = -exponent(min(abs(tick) for tick in ticks if tick))
    while places < most and any(abs(round(tick, places) - tick) > 1e-9 * max(abs(tick), 1e-3) for tick in ticks):
        places += 1
    return [fixed(tick, places) for tick in ticks]


@dataclass(frozen=True)
class Frame:
    """The plot's place on the sheet, with its two scales."""

    across: Scale
    up: Scale

    def spot(self, x: float, y: float) -> XY:
        """The pixel of a point."""
        return self.across.at(x), self.up.at(y)


def bottom(sheet: Sheet, scale: Scale, y: float, title: str, *, counted: bool = False) -> None:
    """The lower axis: a line, numbers that do not touch each other, and the title below."""
    sheet.line((min(scale.start, scale.end), y), (max(scale.start, scale.end), y), "muted")
    ticks = scale.ticks(7 if sheet.width > 500 else 5)
    taken = -math.inf if scale.start < scale.end else math.inf
    for tick, words in zip(ticks, tick_words(ticks, counted=counted), strict=True):
        x, half = scale.at(tick), width_of(words, SMALL) / 2 + 3
        if (scale.start < scale.end and x - half < taken) or (scale.start > scale.end and x + half > taken):
            continue
        taken = x + half if scale.start < scale.end else x - half
        sheet.line((x, y), (x, y + 4), "muted")
        sheet.write((x, y + 14), words, "middle", "muted", size=SMALL)
    sheet.write(((scale.start + scale.end) / 2, y + 33), title, "middle", "muted", size=SMALL)


def left(sheet: Sheet, scale: Scale, across: Scale, title: str, *, counted: bool = False) -> None:
    """The left axis: faint lines across the plot, numbers beside it, the title above it."""
    ticks = scale.ticks(6)
    for tick, words in zip(ticks, tick_words(ticks, counted=counted), strict=True):
        y = scale.at(tick)
        sheet.line((across.start, y), (across.end, y), "line")
        sheet.write((across.start - 6, y), words, "end", "muted", size=SMALL)
    sheet.write((2, min(scale.start, scale.end) - 14), title, "start", "muted", size=SMALL)
