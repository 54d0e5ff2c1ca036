"""Small pieces that several sections are made of; without them each would shade and shorten in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from transfuse.report.blocks import Shade, Span
from transfuse.report.numbers import fixed, shown, unit
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.types import Direction, Evidence, Undefined

ENSEMBLE = "ensemble"
ALONE = ("as_is/", "frozen/", "tuned/")


def defined(row: Evidence | None) -> float | None:
    """The row's value on the scale on which it is written; None where it is not there or undefined."""
    if row is None or isinstance(row.value, Undefined):
        return None
    return shown(row, row.value)


def ends(row: Evidence) -> tuple[float | None, float | None]:
    """The row's interval on the scale on which it is written."""
    low, high = (None if end is None else shown(row, end) for end in (row.low, row.high))
    return low, high


def measure(row: Evidence) -> str:
    """The row's quantity with its unit, for an axis."""
    title = quantity(row.quantity).title
    return f"{title}, {unit(row)}" if unit(row) else title


def metric_of(row: Evidence) -> str:
    """The measure that a row tells something about, where its quantity has a name of its own."""
    return quantity(str(row.provenance.get("metric") or row.quantity)).title


def notes_on(view: View, arm: str) -> list[str]:
    """What is to be said of how an arm was made."""
    row = view.level(arm, "train_flops")
    return [] if row is None else [str(note) for note in row.provenance.get("notes") or ()]


def diverging(value: float, largest: float, direction: Direction) -> Shade | None:
    """The shade of a difference: better or worse, as strong as its share of the largest one."""
    if not value or not largest:
        return None
    good = (value > 0) == (direction == "higher")
    return ("better" if good else "worse", min(abs(value) / largest, 1.0))


def shaded(span: Span, shade: Shade | None) -> Span:
    """A cell with its shade."""
    return Span(span.text, span.evidence, span.interval, span.note, span.tone, shade)


def chief(view: View) -> list[str]:
    """The arms that are looked at in depth, as far as they are judged: what ships, the challenger, the best single, the
    ensemble."""
    names = dict.fromkeys(name for name in (view.winner, view.challenger, view.best_single, ENSEMBLE) if name)
    return [name for name in names if view.level(name, view.metric) is not None]


def marked(view: View, name: str) -> str:
    """An arm's name, with what it is where it is the best single model and its name does not say so."""
    return f"{name} (best single)" if name == view.best_single != "best_single" else name


def first_some(names: Iterable[str], chosen: Sequence[str], most: int) -> list[str]:
    """At most so many names: the chosen ones first, then the others as they come."""
    known = list(dict.fromkeys(names))
    first = [name for name in dict.fromkeys(chosen) if name in known]
    return [*first, *(name for name in known if name not in first)][:most]


def share(number: float, places: int = 0) -> str:
    """A share between 0 and 1 in percent."""
    return f"{fixed(100 * number, places)} %"


def count_of(count: int, total: int, noun: str) -> str:
    """`2 of 10 classes`, `none of 10 classes`, `all 10 classes`."""
    if count == total:
        return f"all {total} {noun}"
    return f"{count or 'none'} of {total} {noun}"
