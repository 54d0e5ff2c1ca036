"""The verdict on a terminal: what to ship, one line a comparison, what must temper it; the report has the rest."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from transfuse.report.blocks import spans
from transfuse.report.numbers import quantity, spell
from transfuse.report.sections import verdict
from transfuse.report.view import View
from transfuse.report.words import FLAG, STATUS
from transfuse.types import Claim, Undefined

WIDTH = 100
MARKS = {"better": "+", "worse": "-", "equivalent": "=", "not shown": "?"}


def render_terminal(evidence: Mapping[str, Any]) -> str:
    """Recommendation, claims and flags as plain text of at most 100 columns; names cannot forge a line."""
    view = View(evidence)
    parts = [_recommendation(view), *_claims(view), _flags(view), _wrapped(_plain(verdict.reach(view)))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _recommendation(view: View) -> str:
    box = verdict.recommendation(view)
    return "\n".join([_wrapped(f"{box.label}: {box.title}"), *(_wrapped(_plain(part), "  ") for part in box.body)])


def _claims(view: View) -> list[str]:
    """A paragraph for each claimed arm; in it, two lines for each rival at most, the deciding metric first."""
    if not view.claims:
        return ["No comparison was judged."]
    return [_of_arm(view, arm) for arm in dict.fromkeys(claim.arm for claim in view.claims)]


def _of_arm(view: View, arm: str) -> str:
    claims = [claim for claim in view.claims if claim.arm == arm]
    names = [view.metric, *dict.fromkeys(claim.quantity for claim in claims if claim.quantity != view.metric)]
    rivals = list(dict.fromkeys(claim.versus for claim in claims))
    width = min(max(len(_rival(view, rival)) for rival in rivals), 44)
    lines = [_wrapped(f"{arm} against ... (difference, 95 % interval)")]
    for rival in rivals:
        for place, name in enumerate(names):
            found = [claim for claim in claims if (claim.versus, claim.quantity) == (rival, name)]
            title = f"{_rival(view, rival):<{width}}" if not place else " " * width
            lines += [f"  {title}  {_line(view, claim)}"[:WIDTH] for claim in found]
    return "\n".join(lines)


def _rival(view: View, name: str) -> str:
    return f"{_one_line(name)} (best single)" if name == view.best_single else _one_line(name)


def _line(view: View, claim: Claim) -> str:
    row = view.claimed(claim)
    if row is None:
        number = "no number"
    elif isinstance(row.value, Undefined):
        number = f"undefined: {row.value.reason}"
    else:
        number = spell(row)
    status = STATUS[claim.status].lower()
    return f"{MARKS[claim.status]} {status:<16} {quantity(claim.quantity).title:<9} {number}"


def _flags(view: View) -> str:
    return "\n".join(
        _wrapped(f"Keep in mind: {FLAG.get(flag.flag, flag.flag.replace('_', ' '))}: {flag.why}") for flag in view.flags
    )


def _plain(prose: Any) -> str:
    return "".join(_one_line(span.text) for span in spans(prose))


def _one_line(text: str) -> str:
    """Line ends in a name become blanks; ends of the text stay, since prose is put together from pieces."""
    return "".join(" " if character.isspace() else character for character in text)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(_one_line(text), WIDTH, initial_indent=indent, subsequent_indent=indent)
