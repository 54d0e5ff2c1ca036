"""How a number is spelled: without it one value would look different in a table, a sentence and a chart.

Shares are shown in percent and their differences in points; every other number keeps the unit of its row. Digits follow
the interval: two figures of its half width, never fewer than is usual for the quantity, and enough that a bound that is
not zero does not read as zero.
"""

from __future__ import annotations

import math

from transfuse.figures import LEAST_WRITTEN, MOST_PLACES, clean, exponent, fixed, places_of, scaled
from transfuse.report.quantities import Style, quantity
from transfuse.types import Evidence, Undefined

UNSIGNED = ("rate", "level", "times")
UNITS: dict[Style, str] = {"flops": "FLOP", "ms": "ms", "MB": "MB", "s": "s"}


def better(direction: str) -> str:
    """The direction in words."""
    return f"{direction} is better"


def unit(row: Evidence) -> str:
    """The unit in which `spell` writes the row: percent, points, or the row's own."""
    style = quantity(row.quantity).style
    if style == "share":
        return "points" if row.versus else "%"
    if style == "rate":
        return "%"
    return "" if style in ("p", "count", "times", "level") else UNITS.get(style, row.unit)


def shown(row: Evidence, number: float) -> float:
    """A number of this row on the scale on which it is written: shares times 100."""
    share = quantity(row.quantity).style in ("share", "rate")
    return number * 100 if share and row.unit not in ("%", "percent", "points") else number


def decimals(numbers: list[float], least: int, most: int = MOST_PLACES) -> int:
    """Digits behind the point for a value and its bounds, from the half width, between `least` and `most`; more only
    where a bound that is not 0 (or a value without bounds) would read as 0.

    Numbers that are all too small for six decimals have as many as show two figures of the half width.
    """
    places, size = least, max(abs(number) for number in numbers)
    if 0.0 < size < LEAST_WRITTEN and most == MOST_PLACES:
        most = 1 - exponent(min(number for number in (size, *_half(numbers)) if number))
        return max(places_of(size, least), most)
    for half in _half(numbers):
        places = max(places, min(1 - math.floor(math.log10(half)), most))
    while places < MOST_PLACES and any(
        number and not float(f"{number:.{max(places, 0)}f}") for number in numbers[1:] or numbers
    ):
        places += 1
    return min(places, MOST_PLACES)


def _half(numbers: list[float]) -> list[float]:
    """The half width of a value with bounds that differ."""
    return [(numbers[2] - numbers[1]) / 2] if len(numbers) == 3 and numbers[2] > numbers[1] else []


def probability(number: float) -> str:
    """A p-value: two figures, three decimals at most."""
    return "< 0.001" if number < 0.001 else f"{number:.3f}" if number < 0.1 else f"{number:.2f}"


def spell(row: Evidence, *, interval: bool = True, with_unit: bool = True) -> str:
    """The value as it stands in every part of the report, e.g. `+3.2 points [+1.1, +5.3]`; `undefined` if it is."""
    value, ends = _spelled(row, with_unit)
    return f"{value} [{', '.join(ends)}]" if interval and ends else value


def bounds(row: Evidence) -> tuple[str, ...]:
    """The two ends of the interval, spelled like the value; empty when there is none."""
    return _spelled(row, False)[1]


def _spelled(row: Evidence, with_unit: bool) -> tuple[str, tuple[str, ...]]:
    if isinstance(row.value, Undefined):
        return "undefined", ()
    style = quantity(row.quantity).style
    if style in ("count", "flops"):
        return scaled(row.value, UNITS.get(style, "") if with_unit else ""), ()
    if style == "p":
        return probability(row.value), ()
    ends = [row.low, row.high] if row.low is not None and row.high is not None else []
    numbers = [clean(shown(row, number), row.unit) for number in [row.value, *ends]]
    least = 1 if style in ("share", "rate", "s", "MB") else 2
    if style == "plain":
        least = places_of(max(abs(number) for number in numbers), 3)
    places = decimals(numbers, least, 2 if style in ("share", "rate") else MOST_PLACES)
    signed = row.versus is not None and style not in UNSIGNED
    value, *texts = [fixed(number, places, signed=signed) for number in numbers]
    if style == "times":
        value = f"{value} ×"
    return (f"{value} {unit(row)}".rstrip() if with_unit else value), tuple(texts)
