"""What each source brings; without it a source that does nothing, or harm, would ride along unseen."""

from __future__ import annotations

from transfuse.report.blocks import Block, Chart, Heading, Text
from transfuse.report.charts import chart, forest
from transfuse.report.numbers import spell
from transfuse.report.pieces import defined, ends, measure, metric_of
from transfuse.report.quantities import quantity
from transfuse.report.sections.diversity import matrix
from transfuse.report.view import View
from transfuse.report.words import listed
from transfuse.types import Evidence

ORDER = 40
DROPPED, SHAPLEY, INTERACTION = "negative_transfer", "shapley", "shapley_interaction"


def blocks(view: View) -> list[Block]:
    """The fusion against itself without each source; Shapley values and interactions where they were computed."""
    dropped, shares = view.find(DROPPED), view.find(SHAPLEY)
    drawn = [drawing for drawing in (_dropped(dropped), _shares(shares)) if drawing is not None]
    if not drawn:
        return []
    finding = " ".join(drawing.finding for drawing in drawn)
    found: list[Block] = [Heading("What each source brings", "attribution", "Worth", finding, folded=True), *drawn]
    if shares:
        found.append(Text((_how(shares[0]),)))
    return [*found, *_interactions(view)]


def _how(row: Evidence) -> str:
    return (
        "Shapley values share out what all sources together gain over none, each source as the mean of what it adds to "
        f"every subset of the others: {row.method}."
    )


def _interactions(view: View) -> list[Block]:
    """A heat map of the pairs, or the one pair in a sentence."""
    pairs = view.find(INTERACTION)
    names = sorted({name for row in pairs for name in (row.arm, row.versus or "") if name})
    if len(names) > 2:
        return [matrix(view, INTERACTION, names)]
    meaning = quantity(INTERACTION).meaning
    return [Text((f"Interaction of {row.arm} and {row.versus}: ", view.number(row), f" ({meaning}).")) for row in pairs]


def _dropped(rows: tuple[Evidence, ...]) -> Chart | None:
    known = [(row, value) for row in rows if (value := defined(row)) is not None]
    if not known:
        return None
    first = known[0][0]
    lower = first.direction == "lower"
    marks = [_mark(row, value, f"with {_source(row)} or without") for row, value in known]
    look = forest.Look(
        f"difference in {metric_of(first)}, {first.unit}",
        None,
        lower,
        ("← better without it", "better with it →"),
        bars=True,
    )
    names = {sign: [_source(row) for row, _ in known if _sign(row) == sign] for sign in (1, -1, 0)}
    words = {1: "Shown to help", -1: "Shown to do harm", 0: "Not shown to help or to harm"}
    said = [f"{words[sign]}: {listed(found)}." for sign, found in names.items() if found]
    told = "; ".join(f"{mark.label}: {mark.words}" for mark in marks)
    return chart(
        lambda width: forest.draw(width, marks, look),
        finding=" ".join(said),
        caption=f"{first.arm} minus the same fusion refitted without the source; lines are 95 % intervals.",
        summary=f"Difference in {metric_of(first)} with each source. {told}.",
        rows=[row for row, _ in known],
    )


def _source(row: Evidence) -> str:
    return str(row.provenance.get("source") or row.versus)


def _sign(row: Evidence) -> int:
    """1 where the source is shown to help, −1 where it is shown to do harm, at margin 0."""
    if row.low is None or row.high is None:
        return 0
    low, high = (-row.high, -row.low) if row.direction == "lower" else (row.low, row.high)
    return 1 if low > 0 else -1 if high < 0 else 0


def _mark(row: Evidence, value: float, name: str) -> forest.Mark:
    low, high = ends(row)
    sign = _sign(row)
    tone = "better" if sign > 0 else "worse" if sign < 0 else "not shown"
    return forest.Mark(name, value, low, high, tone, spell(row, with_unit=False))


def _brought(names: list[str]) -> str:
    """Which sources are shown to bring something, the largest share first."""
    if not names:
        return "With a plain head on frozen features, no source is shown to bring anything."
    return f"With a plain head on frozen features, shown to bring something: {listed(names)}."


def _shares(rows: tuple[Evidence, ...]) -> Chart | None:
    known = [(row, value) for row in rows if (value := defined(row)) is not None]
    if not known:
        return None
    first = known[0][0]
    ranked = sorted(known, key=lambda pair: pair[1], reverse=first.direction == "higher")
    marks = [_mark(row, value, row.arm) for row, value in ranked]
    look = forest.Look(measure(first), None, first.direction == "lower", ("← takes away", "brings →"), bars=True)
    told = "; ".join(f"{mark.label}: {mark.words}" for mark in marks)
    return chart(
        lambda width: forest.draw(width, marks, look),
        finding=_brought([row.arm for row, _ in ranked if _sign(row) > 0]),
        caption="Shapley values with 95 % intervals; they add up to what all sources together gain over none.",
        summary=f"{measure(first)} by source. {told}.",
        rows=[row for row, _ in known],
    )
