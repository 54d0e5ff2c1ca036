"""The verdict on a terminal: what to ship, one line a comparison, what must temper it; the report has the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.report.lines import one_line, plain, wrapped
from transfuse.report.numbers import spell
from transfuse.report.pieces import marked
from transfuse.report.quantities import quantity
from transfuse.report.sections import verdict
from transfuse.report.terminal_choice import render_choice
from transfuse.report.view import View
from transfuse.report.words import STATUS, flag_title
from transfuse.types import Claim, Undefined

LONGEST_RIVAL = 26
MARKS = {"better": "+", "worse": "-", "equivalent": "=", "not shown": "?"}


def render_terminal(evidence: Mapping[str, Any]) -> str:
    """Recommendation, claims and flags as plain text of at most 80 columns; names cannot forge a line."""
    view = View(evidence)
    if view.kind == "choice":
        return render_choice(view)
    parts = [_recommendation(view), *_claims(view), *_flags(view), wrapped(plain(verdict.reach(view)))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _recommendation(view: View) -> str:
    """The box of the report; flags follow below with their reasons, so they are not named here."""
    box = verdict.recommendation(view)
    body = [part for part in box.body if not plain(part).startswith(verdict.TEMPERED)]
    return "\n".join([wrapped(f"{box.label}: {box.title}"), *(wrapped(plain(part), "  ") for part in body)])


def _claims(view: View) -> list[str]:
    """A paragraph for each claimed arm: a line a rival in the deciding metric, and the others of the first rival."""
    return [_of_arm(view, arm) for arm in dict.fromkeys(claim.arm for claim in view.claims)]


def _of_arm(view: View, arm: str) -> str:
    claims = [claim for claim in view.claims if claim.arm == arm]
    measured = list(dict.fromkeys(claim.quantity for claim in claims))
    deciding = view.metric if view.metric in measured else measured[0]
    rivals = list(dict.fromkeys(claim.versus for claim in claims))
    first = view.rival if view.rival in rivals else rivals[0] if arm in (view.challenger, view.judged_as) else None
    beside = [quantity(claim.quantity).title for claim in claims if claim.quantity != deciding]
    width = max(
        len(text) for text in (*(_rival(view, rival) for rival in rivals), *(f"  in {name}" for name in beside))
    )
    lines = [wrapped(f"{arm} against ... in {quantity(deciding).title} (difference, 95 % interval)")]
    for rival in rivals:
        for claim in (each for each in claims if (each.versus, each.quantity) == (rival, deciding)):
            lines.append(f"  {_rival(view, rival):<{width}}  {_line(view, claim)}")
        for claim in (each for each in claims if each.versus == rival == first and each.quantity != deciding):
            name = f"  in {quantity(claim.quantity).title}"
            lines.append(f"  {name:<{width}}  {_line(view, claim)}")
    return "\n".join(lines)


def _rival(view: View, name: str) -> str:
    text = one_line(name)
    whole = one_line(marked(view, name))
    if len(whole) <= LONGEST_RIVAL:
        return whole
    return text if len(text) <= LONGEST_RIVAL else f"{text[: LONGEST_RIVAL - 1]}…"


def _line(view: View, claim: Claim) -> str:
    row = view.claimed(claim)
    if row is None:
        number = "no number"
    elif isinstance(row.value, Undefined):
        number = f"undefined: {row.value.reason}"
    else:
        number = spell(row)
    return f"{MARKS[claim.status]} {STATUS[claim.status].lower():<16} {number}"


def _flags(view: View) -> list[str]:
    if not view.flags:
        return ["No flag was raised."]
    lines = []
    for flag in view.flags:
        title = flag_title(flag.flag, [view.rows[name] for name in view.known(flag.evidence)])
        lines.append(wrapped(f"Keep in mind: {title}: {flag.why}"))
    return ["\n".join(lines)]
