"""What each set of sources is worth and costs; without it nobody could see that a smaller set does as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transfuse.figures import plural, scaled
from transfuse.report.blocks import Block, Chart, Column, Heading, Row, Span, Table, Text
from transfuse.report.charts import chart, trade
from transfuse.report.numbers import fixed
from transfuse.report.pieces import defined
from transfuse.report.view import View
from transfuse.types import Evidence

ORDER = 42
GAIN = "ridge_gain"
MOST = 16
NEAR = 0.05
SOLO = ("frozen/", "as_is/", "tuned/")


@dataclass(frozen=True)
class Subset:
    """A set of sources with the gain of a plain head on it, what it costs (or how many they are), and its accuracy."""

    of: tuple[str, ...]
    gain: float
    cost: float
    accuracy: float | None

    @property
    def name(self) -> str:
        return " + ".join(self.of)


def blocks(view: View) -> list[Block]:
    """The lattice of subsets, gain against cost, and the sets in a table, best first."""
    row = next(iter(view.all(GAIN)), None)
    found = _sets(view, row) if row is not None else []
    if row is None or len(found) < 3:
        return []
    priced = all(_price(view, name) for subset in found for name in subset.of)
    drawing = _lattice(row, found, priced)
    told = (
        "A plain ridge head on the frozen features of every set of sources, out of fold on rows apart from the judged "
        "ones. It ranks sets cheaply; it is not the fusion that was judged."
    )
    heading = Heading("Every set of sources", "subsets", "Subsets", drawing.finding, folded=True)
    return [heading, drawing, Text((told,)), _table(row, found, priced)]


def _sets(view: View, row: Evidence) -> list[Subset]:
    """The sets that hold a source, cheapest first; gain is the loss of none of them less their own."""
    known: Sequence[Mapping[str, Any]] = row.provenance.get("sets") or ()
    losses = {tuple(each.get("of") or ()): each for each in known if isinstance(each.get("log_loss"), int | float)}
    none = losses.pop((), None)
    if none is None:
        return []
    found = []
    for of, each in losses.items():
        prices = [_price(view, name) for name in of]
        cost = sum(price for price in prices if price) if all(prices) else float(len(of))
        right = each.get("accuracy")
        gain = float(none["log_loss"]) - float(each["log_loss"])
        found.append(Subset(of, gain, cost, float(right) if isinstance(right, int | float) else None))
    return sorted(found, key=lambda subset: (subset.cost, subset.of))


def _price(view: View, source: str) -> float | None:
    """The source's compute per item, from an arm that is nothing else."""
    rows = (view.level(f"{rung}{source}", "inference_flops") for rung in SOLO)
    return next((value for row in rows if (value := defined(row))), None)


def _lattice(row: Evidence, found: list[Subset], priced: bool) -> Chart:
    """All sets where they are few, else the best of each size and what lies on the front."""
    front = _front(found)
    best = max(found, key=lambda subset: subset.gain)
    near = next(subset for subset in found if subset.gain >= best.gain - NEAR * abs(best.gain))
    shown = found if len(found) <= MOST else [subset for subset in found if subset in front or subset in (best, near)]
    points = [
        trade.Point(subset.name, subset.cost, subset.gain, None, None, "baseline", subset in front, subset == near)
        for subset in shown
    ]
    across = "compute per item, FLOP (logarithmic; left is cheaper)" if priced else "number of sources (logarithmic)"
    links = tuple((one.name, other.name) for one in shown for other in shown if _next(one, other))
    axes = trade.Axes(across, f"gain in log-loss over none, {row.unit}", lower_is_better=False, links=links)
    if row.low is not None and row.low <= 0:
        finding = "No set of sources is shown to gain anything over class frequencies with a plain head."
    elif near is best:
        finding = f"No cheaper set comes within 5 % of what {best.name} gains ({fixed(best.gain, 3)} {row.unit})."
    else:
        gain = f"{fixed(near.gain, 3)} {row.unit}"
        finding = f"{near.name} gains {gain}, within 5 % of the best set, {best.name} ({fixed(best.gain, 3)})."
    told = "; ".join(f"{subset.name}: {fixed(subset.gain, 3)} at {scaled(subset.cost)}" for subset in shown)
    left_out = f" {plural(len(found) - len(shown), 'set')} inside are not drawn." if len(shown) < len(found) else ""
    return chart(
        lambda width: trade.draw(width, points, axes),
        finding=finding,
        caption="Thin lines join sets that differ by one source; the dashed line joins sets that no cheaper one "
        f"matches, the ring is the cheapest within 5 % of the best.{left_out}",
        summary=f"Gain in log-loss over class frequencies against cost, by set of sources. {told}.",
        rows=[row],
    )


def _next(one: Subset, other: Subset) -> bool:
    """Whether the other set holds exactly one source more."""
    return set(one.of) < set(other.of) and len(other.of) == len(one.of) + 1


def _front(found: list[Subset]) -> list[Subset]:
    """Sets, cheapest first, each of which gains more than every one before it."""
    front: list[Subset] = []
    for subset in sorted(found, key=lambda each: (each.cost, -each.gain)):
        if not front or subset.gain > front[-1].gain:
            front.append(subset)
    return front


def _table(row: Evidence, found: list[Subset], priced: bool) -> Table:
    ranked = sorted(found, key=lambda subset: -subset.gain)[:MOST]
    columns = (
        Column("Sources"),
        Column("Gain over none", f"{row.unit}, higher is better", numeric=True),
        Column("Accuracy", "%, out of fold", numeric=True),
        Column("Compute per item" if priced else "Sources", numeric=True),
    )
    lines = tuple(
        Row((
            Span(subset.name, tone="name"),
            Span(fixed(subset.gain, 3), (row.id,)),
            Span("–" if subset.accuracy is None else fixed(100 * subset.accuracy, 1), (row.id,)),
            Span(scaled(subset.cost, "FLOP" if priced else ""), (row.id,)),
        ))
        for subset in ranked
    )  # fmt: skip
    more = f" (of {len(found)})" if len(found) > len(ranked) else ""
    return Table(f"The best {plural(len(ranked), 'set')}{more} by a plain head; no interval, a screen", columns, lines)
