"""A choice of sources on a terminal: which one, whether a second one pays, a line a source; the report has the rest."""

from __future__ import annotations

from collections.abc import Sequence

from transfuse.figures import scaled
from transfuse.report.choosing import answer, each
from transfuse.report.lines import WIDTH, one_line, plain, wrapped
from transfuse.report.numbers import spell
from transfuse.report.view import View
from transfuse.types import Undefined

MOST_PAIRS = 6


def render_choice(view: View) -> str:
    """Plain text of at most 80 columns; names cannot forge a line."""
    box = answer.recommended(view)
    first = "\n".join([wrapped(f"{box.label}: {box.title}"), *(wrapped(plain(part), "  ") for part in box.body)])
    claims = [
        wrapped(f"A second model? {claim.sentence[:1].upper()}{claim.sentence[1:]}")
        for claim in view.claims
        if claim is view.claims[0]
    ]
    others = [wrapped(f"In accuracy: {claim.sentence}") for claim in view.claims[1:]]
    parts = [first, "\n".join([*claims, *others]), _sources(view), _pairs(view), _agreement(view)]
    parts += [wrapped(plain(prose)) for prose in (answer.ties(view), answer.looked_at(view)) if prose]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sources(view: View) -> str:
    names = each.singles(view)
    rows = [["source", "group", "log-loss [95 %]", "accuracy", "FLOP", "parameters"]]
    for name in names:
        cost = view.arm(name).get("cost") or {}
        group = next((place for place, group in enumerate(view.record.get("ties") or (), 1) if name in group), "-")
        rows.append(
            [
                one_line(name),
                str(group),
                _number(view, name, "probe_log_loss", interval=True),
                _number(view, name, "probe_accuracy"),
                *(scaled(float(cost[key])) if key in cost else "?" for key in ("inference_flops", "parameters")),
            ]
        )
    return _table(rows)


def _pairs(view: View) -> str:
    found = [row for row in view.find("probe_log_loss") if row.versus is None]
    sets = [row for row in found if len(row.provenance.get("of") or ()) > 1 and not isinstance(row.value, Undefined)]
    sets.sort(key=lambda row: row.value if isinstance(row.value, float) else 0.0)
    if not sets:
        return ""
    rows = [["together", "log-loss [95 %]", "accuracy"]]
    rows += [
        [one_line(row.arm), spell(row, with_unit=False), _number(view, row.arm, "probe_accuracy")]
        for row in sets[:MOST_PAIRS]
    ]
    more = f"\nand {len(sets) - MOST_PAIRS} more sets" if len(sets) > MOST_PAIRS else ""
    return _table(rows) + more


def _agreement(view: View) -> str:
    known = [row for row in view.find("score_tau") if not isinstance(row.value, Undefined)]
    if not known:
        return ""
    told = ", ".join(f"{row.arm.replace('_', ' ')} {spell(row, with_unit=False)}" for row in known)
    return wrapped(f"Scores in the probe's order (weighted tau, 1 is the same): {told}")


def _number(view: View, arm: str, quantity: str, *, interval: bool = False) -> str:
    row = view.level(arm, quantity)
    return "?" if row is None else spell(row, interval=interval, with_unit=quantity == "probe_accuracy")


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width; long names in the first one are shortened in the middle so that all numbers fit."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    widths[0] = max(min(widths[0], WIDTH - sum(widths[1:]) - 2 * len(widths)), 12)
    lines = []
    for row in rows:
        cells = [_shortened(row[0], widths[0]).ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append(("  " + "  ".join(cells))[:WIDTH].rstrip())
    return "\n".join(lines)


def _shortened(name: str, width: int) -> str:
    half = (width - 1) // 2
    return name if len(name) <= width else f"{name[: width - 1 - half]}…{name[-half:]}"
