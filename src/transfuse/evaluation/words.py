"""Claims in sentences: without them a reader would have to know what a 90 % interval is to learn what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transfuse.figures import clean, roughly, usual
from transfuse.types import Evidence, Status, Undefined

if TYPE_CHECKING:
    # Whoever only names a quantity needs none of the arithmetic behind a case.
    from transfuse.evaluation.case import Case

CHOSEN_IN_FOLDS = "chosen in each fold"
QUANTITIES = {
    "log_loss": "log-loss",
    "brier": "Brier score",
    "ece": "calibration error",
    "worst_class": "accuracy on the worst class",
    "binary_log_loss": "binary log-loss",
    "rmse": "root mean squared error",
    "r2": "R²",
}
STATUS: dict[Status, tuple[str, str]] = {
    "better": ("shown better", "shown better by more than the margin of {}"),
    "worse": ("shown worse", "shown worse by more than the margin of {}"),
    "equivalent": ("shown equivalent", "shown equivalent within the margin of {}"),
    "not shown": ("not shown better or worse", "not shown better, worse or equivalent at the margin of {}"),
}


def named(quantity: str) -> str:
    """A quantity's name in running text."""
    # Of `pkg.module:function?direction=lower` the function's name is enough.
    return QUANTITIES.get(quantity, quantity.partition("?")[0].rpartition(":")[2].replace("_", " "))


def number(value: float, unit: str, *, signed: bool = False) -> str:
    """A value with its unit for running text; shares are given in points (hundredths)."""
    text, unit = digits(value, unit, signed=signed), "points" if unit == "share" else unit
    return f"{text} {unit}".rstrip()


def digits(value: float, unit: str, *, signed: bool = False) -> str:
    """The figures alone, with a true minus sign: two decimals for points, else four; as many figures of large numbers,
    and more where all would be 0."""
    value, places = (100.0 * value, 2) if unit == "share" else (value, 4)
    return usual(clean(value, unit), places, signed=signed)


def apart(row: Evidence) -> str:
    """How far apart two arms are, after their quantity's name: `differs by +0.0400 nats, 95 % interval −0.0100 to
    +0.0900 (lower is better)`."""
    effect = "" if isinstance(row.value, Undefined) else f"by {number(row.value, row.unit, signed=True)}, "
    limits = " to ".join(digits(end or 0.0, row.unit, signed=True) for end in (row.low, row.high))
    return f"differs {effect}95 % interval {limits} ({row.direction} is better)"


def sentence(row: Evidence, case: Case) -> str:
    """One comparison for a person who must decide: status, effect, interval, power, what would settle it, scope."""
    title = f"{row.arm} against {row.versus}, {named(row.quantity)}"
    if isinstance(row.value, Undefined):
        return f"{title}: not shown; the difference is undefined ({row.value.reason})."
    effect = number(row.value, row.unit, signed=True)
    if row.low is None or row.high is None:
        return f"{title}: not shown; the difference is {effect}, {row.method}."
    word: Status = row.provenance["status"]
    margin = row.provenance["margin"]
    shown = STATUS[word][1].format(number(margin, row.unit)) if margin > 0 else f"{STATUS[word][0]} (margin 0)"
    low, high = digits(row.low, row.unit, signed=True), digits(row.high, row.unit, signed=True)
    parts = [
        f"{title}: {shown}" + (f", after correction over {row.family}." if row.family else "."),
        f"The difference is {effect} ({row.direction} is better), 95 % interval {low} to {high};"
        f" zero is {'not ' if row.low <= 0 <= row.high else ''}excluded.",
        _power(row, word),
        _scope(row, case),
    ]
    return " ".join(part for part in parts if part)


def _power(row: Evidence, word: Status) -> str:
    """What could have been found, and what would settle an open question."""
    detectable = row.provenance.get("detectable_effect", 0.0)
    if not detectable:
        return ""
    beyond = " beyond the margin" if row.provenance["margin"] > 0 else ""
    text = f"About 80 % of such trials would show a true difference of {number(detectable, row.unit)}{beyond}."
    if word != "not shown":
        return text
    items, runs = row.provenance.get("settling_items"), row.provenance.get("settling_runs")
    ways = [f"n={roughly(items):,} items (now {row.n:,})"] if items and items > row.n else []
    ways += [f"k={runs:,} runs (now {row.seeds})"] if runs and runs > row.seeds else []
    if ways:
        return f"{text} If the difference stays as it is, about {' or '.join(ways)} would settle it."
    if (items and items <= row.n) or (runs and runs <= row.seeds):
        return f"{text} Somewhat more data would settle it."
    if row.seeds == 1:
        return f"{text} Even a thousand times as many items would not settle it."
    return f"{text} Neither items nor runs alone, up to a thousand times as many, would settle it."


def _scope(row: Evidence, case: Case) -> str:
    """What the claim speaks of: with one run, or one set of folds, it is the trained models and not the methods."""
    trained = "This speaks of these trained models, not of the methods that made them"
    if row.method.startswith("corrected"):
        text = f"{trained}; the interval allows for the luck of the folds and, in part, of the training rows."
    else:
        text = f"{trained}." if row.seeds == 1 or case.protocol == "crossfit" else ""
    jumps = any(case.arm(name).method == CHOSEN_IN_FOLDS for name in (row.arm, row.versus or row.arm))
    if case.protocol == "crossfit" and jumps:
        text += " One of the two was chosen anew in each fold, so the interval may be too narrow; repeats help."
    return text
