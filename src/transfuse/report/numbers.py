"""How a number is spelled: without it one value would look different in a table, a sentence and a chart.

Shares are shown in percent and their differences in points; every other number keeps the unit of its row. Digits follow
the interval: two figures of its half width, never fewer than is usual for the quantity, and enough that a bound that is
not zero does not read as zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from transfuse.types import Evidence, Undefined

Style = Literal["plain", "share", "rate", "count", "flops", "p", "ms", "MB", "s"]
MINUS = "−"
PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


@dataclass(frozen=True)
class Quantity:
    """What a quantity is called, what it means to someone who never met it, and how it is written."""

    title: str
    meaning: str
    style: Style = "plain"


QUANTITIES = {
    "log_loss": Quantity("log-loss", "how surprised the model is by the right answer; 0 is perfect"),
    "accuracy": Quantity("accuracy", "share of items answered right", "share"),
    "brier": Quantity("Brier score", "squared distance of the stated probabilities from the truth, 0 to 2"),
    "ece": Quantity("calibration error", "how far stated confidence is from how often it is right", "share"),
    "ece_uncalibrated": Quantity("calibration error before", "the same before the temperature was fitted", "share"),
    "log_loss_uncalibrated": Quantity("log-loss before", "log-loss before the temperature was fitted"),
    "temperature": Quantity("temperature", "what the scores were divided by; above 1 the arm was too sure"),
    "worst_class": Quantity("worst class", "accuracy on the class that is served worst", "share"),
    "positive_flips": Quantity("newly right", "right where the other is wrong", "rate"),
    "negative_flips": Quantity("newly wrong", "wrong where the other is right", "rate"),
    "mcnemar_midp": Quantity("McNemar mid-p", "chance of so uneven a split of flips if both were equally good", "p"),
    "parameters": Quantity("parameters", "numbers the model stores", "count"),
    "trainable_parameters": Quantity("trained parameters", "numbers that training may change", "count"),
    "inference_flops": Quantity("compute per item", "operations for one answer, counted", "flops"),
    "train_flops": Quantity("training compute", "operations for all training, counted", "flops"),
    "latency_p50_ms": Quantity("median latency", "half of the answers come faster", "ms"),
    "latency_p95_ms": Quantity("slow latency", "95 % of the answers come faster", "ms"),
    "peak_memory_mb": Quantity("peak memory", "the most memory held at once", "MB"),
    "wall_seconds": Quantity("wall time", "time on the clock", "s"),
}
UNITS: dict[Style, str] = {"flops": "FLOP", "ms": "ms", "MB": "MB", "s": "s"}


def quantity(name: str) -> Quantity:
    """The known quantity of that name, else one that is called by its name."""
    return QUANTITIES.get(name) or Quantity(name.replace("_", " "), "")


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
    return "" if style in ("p", "count") else UNITS.get(style, row.unit)


def shown(row: Evidence, number: float) -> float:
    """A number of this row on the scale on which it is written: shares times 100."""
    share = quantity(row.quantity).style in ("share", "rate")
    return number * 100 if share and row.unit not in ("%", "percent", "points") else number


def decimals(numbers: list[float], least: int) -> int:
    """Digits behind the point for a value and its bounds: from the half width, and no bound but 0 may read as 0."""
    places = least
    if len(numbers) == 3 and numbers[2] > numbers[1]:
        places = max(places, 1 - math.floor(math.log10((numbers[2] - numbers[1]) / 2)))
    while places < 6 and any(number and not float(f"{number:.{places}f}") for number in numbers[1:]):
        places += 1
    return min(places, 6)


def fixed(number: float, places: int, *, signed: bool = False) -> str:
    """A number with a true minus sign, groups of three, and no sign on a zero."""
    text = f"{number:{'+' if signed else ''},.{places}f}"
    zero = not float(text.replace(",", ""))
    return text.lstrip("+-") if zero else text.replace("-", MINUS)


def scaled(number: float, name: str = "") -> str:
    """Three figures with a prefix: 1.24 M, 412 MFLOP; what has at most four figures is written out."""
    if abs(number) < 10_000 and float(number).is_integer():
        return f"{fixed(number, 0)} {name}".strip()
    size, prefix = next((pair for pair in PREFIXES if abs(number) >= pair[0] * 0.9995), PREFIXES[-1])
    part = abs(number) / size
    places = 0 if part >= 99.95 else 1 if part >= 9.995 else 2
    return f"{MINUS if number < 0 else ''}{part:.{places}f} {prefix}{name}".strip()


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
    numbers = [shown(row, number) for number in [row.value, *ends]]
    places = decimals(numbers, 1 if style in ("share", "rate", "s", "MB") else 3 if style == "plain" else 2)
    value, *texts = [fixed(number, places, signed=row.versus is not None and style != "rate") for number in numbers]
    return (f"{value} {unit(row)}".rstrip() if with_unit else value), tuple(texts)


def plural(count: int, noun: str) -> str:
    """`1 run`, `1,000 items`."""
    ending = (
        noun
        if count == 1
        else noun[:-1] + "ies"
        if noun.endswith("y")
        else f"{noun}es"
        if noun.endswith("s")
        else f"{noun}s"
    )
    return f"{count:,} {ending}"
