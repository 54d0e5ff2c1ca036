"""Whether an arm notices what it was not made for; without it a sure answer to something else goes unseen."""

from __future__ import annotations

from typing import Any

from transfuse.report.blocks import Block, Column, Heading, Row, Span, Table, Text
from transfuse.report.numbers import spell
from transfuse.report.pieces import defined, shaded
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.types import Evidence

ORDER = 56
NAMES = ("ood_auroc", "ood_fpr95", "ood_aupr_in", "ood_aupr_out")
SCORES = {
    "max_probability": "highest probability", "entropy": "entropy", "energy": "energy", "max_logit": "highest logit",
    "joint_energy": "joint energy",
}  # fmt: skip


def blocks(view: View) -> list[Block]:
    """A table an outside set: arms and scores, with how well each tells judged items from the others."""
    sets = list(dict.fromkeys(row.condition for row in view.all("ood_auroc")))
    if not sets:
        return []
    told = (
        "Items of another kind should look unfamiliar. 50 % is guessing, 100 % tells every one apart. No score was "
        "tuned on these items; the highest probability is what a plain threshold uses."
    )
    return [
        Heading("Items of another kind", "outside", "Outside items", _finding(view, sets[0]), folded=True),
        Text((told,)),
        *(_table(view, name) for name in sets),
    ]


def _finding(view: View, name: str) -> str:
    rows = [row for row in view.all("ood_auroc") if (row.arm, row.condition) == (view.judged_as, name)]
    row = next((row for row in rows if row.provenance.get("score") == "max_probability"), next(iter(rows), None))
    if row is None:
        return "How well arms tell judged items from others."
    strange = name.removeprefix("ood:")
    pairs = spell(row, interval=False)
    return f"What ships ranks a judged item above one of {strange} in {pairs} of pairs (50 % is guessing)."


def _table(view: View, name: str) -> Table:
    rows = [row for row in view.all("ood_auroc") if row.condition == name]
    known = {
        (row.arm, row.quantity, row.provenance.get("score")): row
        for q in NAMES
        for row in view.all(q)
        if row.condition == name
    }
    columns = (Column("Arm, score"), *(_column(known, quantity_name) for quantity_name in NAMES))
    lines = tuple(
        Row(
            (
                Span(
                    f"{row.arm}, {SCORES.get(str(row.provenance.get('score')), row.provenance.get('score'))}",
                    tone="name",
                ),
                *(_cell(view, known.get((row.arm, each, row.provenance.get("score")))) for each in NAMES),
            ),
            row.arm == view.winner,
        )
        for row in rows
    )
    count = rows[0].provenance.get("outside_items")
    of = f", {count:,} items" if isinstance(count, int) else ""
    return Table(f"{name.removeprefix('ood:')}{of}: told apart from the judged items", columns, lines)


def _column(known: dict[tuple[str, str, Any], Evidence], name: str) -> Column:
    row = next((row for key, row in known.items() if key[1] == name), None)
    return Column(quantity(name).title, f"%, {row.direction} is better" if row else "", numeric=True)


def _cell(view: View, row: Evidence | None) -> Span:
    """The number, shaded the more the better it tells."""
    value = defined(row)
    if row is None or value is None:
        return view.cell(row)
    good = value / 100 if row.direction == "higher" else 1 - value / 100
    return shaded(view.cell(row), ("accent", max(2 * good - 1, 0.0)))
