"""Whether the models err differently; without it nobody could say why an ensemble helps, or that it will not."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.pieces import ENSEMBLE, defined, shaded
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

ORDER = 62
PAIRS = ("disagreement", "error_correlation", "double_fault", "q_statistic")
SIGNED = ("shapley_interaction",)
POOL = ("oracle_accuracy", "ambiguity_log_loss", "ambiguity_brier", "ambiguity_squared_error", "der", "eir")


def blocks(view: View) -> list[Block]:
    """A heat map of the pairs' disagreement, one of their errors' correlation, and what pooling all of them gains.

    Numbers have no disagreement; what their errors have in common stands in its place.
    """
    pairs = view.find("disagreement") or view.find("error_correlation")
    pool = [row for name in POOL for row in view.find(name)]
    if not pairs and not pool:
        return []
    told = (
        "Models that err on the same items gain little from each other. Diversity explains a gain over the average "
        "member; only the comparisons above tell of the best one."
    )
    found: list[Block] = [Text((told,))]
    arms = sorted({name for row in pairs for name in (row.arm, row.versus or "")})
    if len(arms) > 2:
        found += [matrix(view, name, arms) for name in PAIRS[:2] if view.find(name)]
    elif pairs:
        found.append(_single_pair(view, pairs[0]))
    found += [_pool(view, pool)] if pool else []
    found += _alone(view)
    return [Heading("Do the models err differently?", "diversity", "Diversity", _finding(view), folded=True), *found]


def _finding(view: View) -> str:
    ratio, removed = (next(iter(view.find(name)), None) for name in ("der", "eir"))
    if ratio is not None and not isinstance(ratio.value, Undefined):
        pooled = ""
        if removed is not None and defined(removed) is not None:
            pooled = f"; pooling removes {spell(removed, interval=False)} of the average member's errors"
        return f"Members disagree {ratio.value:.2f} times as often as they err{pooled}."
    if removed is not None and defined(removed) is not None:
        return f"Pooling removes {spell(removed, interval=False)} of the average member's squared error."
    rows = view.find("disagreement")
    if rows:
        counted = "labels" if _of_labels(view) else "items"
        return f"Single models answer differently on {spell(rows[0], interval=False)} of {counted} or so."
    return "What pooling the members gains over the average one."


def matrix(view: View, name: str, arms: list[str]) -> Table:
    """Arms × arms, shaded by the value; the lower half, since a pair has no order."""
    known = {frozenset((row.arm, row.versus)): row for row in view.find(name)}
    values = [abs(value) for row in known.values() if (value := defined(row)) is not None]
    largest = max(values, default=0.0) or 1.0

    def cell(one: str, other: str) -> Span:
        row = known.get(frozenset((one, other)))
        value = defined(row)
        if row is None or value is None:
            return view.cell(row, absent="")
        tint = "worse" if value < 0 and name in SIGNED else "accent"
        return shaded(view.cell(row), (tint, min(abs(value) / largest, 1.0)))

    columns = (Column(""), *(Column(arm, numeric=True) for arm in arms[:-1]))
    rows = tuple(
        Row(
            (
                Span(arm, tone="name"),
                *(cell(arm, other) if place < line else Span("") for place, other in enumerate(arms[:-1])),
            )
        )
        for line, arm in enumerate(arms)
        if line
    )
    return Table(f"{quantity(name).title.capitalize()}: {_meaning(view, name)}", columns, rows)


def _of_labels(view: View) -> bool:
    return (view.setup.get("task") or {}).get("kind") == "multilabel"


def _meaning(view: View, name: str) -> str:
    """What a quantity means; of labels each is a question of its own, so these are counted and not items."""
    told = quantity(name).meaning
    return told.replace("items", "labels") if _of_labels(view) else told


def _single_pair(view: View, first: Evidence) -> Table:
    rows = [next(iter(view.find(name, arm=first.arm, versus=first.versus)), None) for name in PAIRS]
    lines = tuple(
        Row(
            (
                Span(quantity(row.quantity).title, tone="name"),
                view.cell(row, with_unit=True),
                Span(_meaning(view, row.quantity)),
            )
        )
        for row in rows
        if row is not None
    )
    columns = (Column("Measure"), Column("Value", "95 % interval", numeric=True), Column("What it means"))
    return Table(f"{first.arm} and {first.versus}", columns, lines)


def _alone(view: View) -> list[Block]:
    """Who of three or more sources stands against all the others, how often, and who is right then."""
    rows = view.find("lone_disagreement")
    if not rows:
        return []
    lines = tuple(
        Row(
            (
                Span(row.arm, tone="name"),
                view.cell(row, with_unit=True),
                *(_share(row, fact) for fact in ("right", "others_right", "confidence")),
                Span(", ".join(str(name) for name in row.provenance.get("surest") or ())),
            )
        )
        for row in rows
    )
    columns = (
        Column("Source"),
        Column("Stands alone", "95 % interval", numeric=True),
        Column("Is right then", "%", numeric=True),
        Column("The others are", "%", numeric=True),
        Column("Its confidence", "%", numeric=True),
        Column("Where it is surest"),
    )
    limits = str(rows[0].provenance["limits"])
    title = f"Who stands alone: {quantity('lone_disagreement').meaning}"
    return [Table(title, columns, lines), Text((f"{limits[:1].upper()}{limits[1:]}.",))]


def _share(row: Evidence, fact: str) -> Span:
    value = row.provenance.get(fact)
    return Span("–") if value is None else Span(f"{100 * float(value):.0f}", evidence=(row.id,))


def _pool(view: View, rows: list[Evidence]) -> Table:
    lines = tuple(
        Row((
            Span(quantity(row.quantity).title, tone="name"),
            view.cell(row, with_unit=True),
            Span(_meaning(view, row.quantity)),
        ))
        for row in rows
    )  # fmt: skip
    members = rows[0].provenance.get("members") or ()
    of = f" of {', '.join(str(name) for name in members)}" if members else ""
    columns = (Column("Measure"), Column("Value", "95 % interval", numeric=True), Column("What it means"))
    return Table(f"The {rows[0].arm or ENSEMBLE}{of}", columns, lines)
