"""What is left where somebody means harm; without it a fusion would be called robust because nobody tried."""

from __future__ import annotations

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.pieces import defined, diverging, shaded
from transfuse.report.view import View
from transfuse.types import Evidence

ORDER = 60
ROBUST, WORST, MASKING = "robust_accuracy", "worst_case_accuracy", "gradient_masking"


def blocks(view: View) -> list[Block]:
    """Arms × attacks, all attacks of one norm and radius at once, the difference to the best single, and masking."""
    rows = view.all(ROBUST)
    if not rows:
        return []
    told = (
        "An attack can only be too weak: each figure is an upper bound, and none shows that an arm is safe. In the "
        "worst case an item counts as right only where no attack breaks it."
    )
    found: list[Block] = [Heading("Attacks", "attacks", "Attacks", _finding(view), folded=True), Text((told,))]
    found.append(_table(view, rows, "Accuracy under each attack, at most; shaded by what is lost against clean inputs"))
    levels, pairs = ([row for row in view.all(WORST) if (row.versus is None) == alone] for alone in (True, False))
    found += [_table(view, levels, "The worst of all attacks of one norm and radius, at most")] if levels else []
    found += (
        [_table(view, pairs, f"What each keeps there more or less than {pairs[0].versus}, points")] if pairs else []
    )
    masked = [row for row in view.all(MASKING) if row.provenance.get("sentence")]
    return [
        *found,
        *(
            Text((Span("Masked gradients: ", (row.id,), tone="name"), str(row.provenance["sentence"])))
            for row in masked
        ),
    ]


def _finding(view: View) -> str:
    rows = [row for row in view.all(WORST) if row.versus is None]
    own = [row for row in rows if row.arm in (view.judged_as, view.challenger)] or rows
    known = [(value, row) for row in own if (value := defined(row)) is not None]
    if not known:
        return "What each arm keeps under attack, at most."
    _, row = min(known, key=lambda pair: pair[0])
    return (
        f"Under the worst attack tried, {row.arm} keeps at most {spell(row, interval=False)} ({_ball(row.condition)})."
    )


def _ball(condition: str) -> str:
    """A norm and radius, or an attack and its strength, in words."""
    whole, _, source = condition.partition("~")
    name, _, radius = whole.partition("@")
    return f"{name.replace('_', ' ')} {radius}{f', made against {source}' if source else ''}".strip()


def _table(view: View, rows: list[Evidence] | tuple[Evidence, ...], caption: str) -> Table:
    """Arms × conditions."""
    conditions = list(dict.fromkeys(row.condition for row in rows))
    arms = list(dict.fromkeys(row.arm for row in rows))
    known = {(row.arm, row.condition): row for row in rows}
    columns = (Column("Arm"), *(Column(_ball(each), "%", numeric=True) for each in conditions))
    lines = tuple(
        Row((Span(arm, tone="name"), *(_cell(view, known.get((arm, each))) for each in conditions)), arm == view.winner)
        for arm in arms
    )
    return Table(caption, columns, lines)


def _cell(view: View, row: Evidence | None) -> Span:
    value = defined(row)
    if row is None or value is None:
        return view.cell(row)
    clean = 0.0 if row.versus else defined(view.level(row.arm, "accuracy")) or 100.0
    return shaded(view.cell(row), diverging(value - clean, 100.0 if not row.versus else 30.0, row.direction))
