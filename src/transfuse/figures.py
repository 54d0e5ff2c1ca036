"""Large counts for readers; without this file a sentence would say 4.11e+08 where a table says 411 MFLOP."""

from __future__ import annotations

PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def scaled(number: float, name: str = "") -> str:
    """Three figures with a prefix: 1.24 M, 412 MFLOP; a whole number of at most four figures is written out."""
    sign = "−" if number < 0 else ""
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
