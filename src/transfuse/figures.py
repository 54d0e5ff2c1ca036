"""Numbers of any size for readers, and what is counted; without this file a sentence would say 4.11e+08 where a table
says 411 MFLOP."""

from __future__ import annotations

import math

MINUS = "−"
# From this size on six decimals show two figures, and below the other a number is written out.
LEAST_WRITTEN, MOST_WRITTEN = 1e-5, 1e6
MOST_PLACES = 6
# What rounding alone makes of shares and nats.
DUST = 1e-12
PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def scaled(number: float, name: str = "") -> str:
    """Three figures with a prefix: 1.24 M, 412 MFLOP; a whole number of at most four figures is written out."""
    sign = MINUS if number < 0 else ""
    if abs(number) < 10_000 and float(number).is_integer():
        return f"{sign}{abs(number):,.0f} {name}".strip()
    size, prefix = next((pair for pair in PREFIXES if abs(number) >= pair[0] * 0.9995), PREFIXES[-1])
    part = abs(number) / size
    places = 0 if part >= 99.95 else 1 if part >= 9.995 else 2
    return f"{sign}{part:.{places}f} {prefix}{name}".strip()


def roughly(count: int) -> int:
    """Two significant digits, rounded up: a power calculation knows no more."""
    scale = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // scale) * scale


def clean(number: float, unit: str) -> float:
    """The number, or 0 for what rounding alone makes of shares and nats; of the user's own unit any size is real."""
    return 0.0 if abs(number) <= DUST and not unit.startswith("units") else number


def exponent(number: float) -> int:
    """The power of ten of its first figure; 0 of zero."""
    return math.floor(math.log10(abs(number))) if number and math.isfinite(number) else 0


def places_of(size: float, usual: int) -> int:
    """Digits behind the point for numbers of this size where so many are usual for numbers around 1.

    Large numbers keep as many figures; below 0 from a million on, where tens and hundreds are no longer written. What
    six decimals would not show has two figures, by its power of ten.
    """
    if 0 < size < LEAST_WRITTEN:
        return 1 - exponent(size)
    places = usual - max(exponent(size), 0)
    return places if size >= MOST_WRITTEN else max(places, 0)


def fixed(number: float, places: int, *, signed: bool = False) -> str:
    """A number with a true minus sign, groups of three, and no sign on a zero.

    With fewer than no places (a million and more), more than six, or what even six would call 0, it is told by its
    power of ten: 1.059e9.
    """
    sign, size = "+" if signed else "", abs(number)
    tiny = places >= MOST_PLACES and 0.0 < size < 0.5 * 10.0**-MOST_PLACES
    if tiny or (places < 0 and size >= MOST_WRITTEN) or (places > MOST_PLACES and 0.0 < size < LEAST_WRITTEN):
        behind = places + exponent(number) if places < 0 or places > MOST_PLACES else 1
        figures, _, tens = f"{number:{sign}.{max(behind, 0)}e}".partition("e")
        return f"{figures}e{int(tens)}".replace("-", MINUS)
    if number == 0.0 and places > MOST_PLACES:
        return "0"
    text = f"{number if places >= 0 else round(number, places):{sign},.{min(max(places, 0), MOST_PLACES)}f}"
    zero = not float(text.replace(",", ""))
    return text.lstrip("+-") if zero else text.replace("-", MINUS)


def usual(number: float, places: int, *, signed: bool = False) -> str:
    """A number on its own, with so many decimals where it lies around 1, and never read as 0 where it is not."""
    found = places_of(abs(number), places)
    while 0 <= found < MOST_PLACES and number and not float(f"{number:.{found}f}"):
        found += 1
    return fixed(number, found, signed=signed)


def plural(count: int, noun: str) -> str:
    """`1 run`, `1,000 items`."""
    ending = (
        noun
        if count == 1
        else noun[:-1] + "ies"
        if noun.endswith("y")
        else f"{noun}es"
        if noun.endswith(("s", "ch"))
        else f"{noun}s"
    )
    return f"{count:,} {ending}"
