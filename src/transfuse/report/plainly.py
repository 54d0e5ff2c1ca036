"""How good is what ships, in a sentence anyone can read: how often it is right, and the best single model beside it."""

from __future__ import annotations

from transfuse.figures import plural
from transfuse.report.blocks import Prose, Span
from transfuse.report.pieces import ALONE, defined
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import CHOSEN
from transfuse.types import Evidence, Undefined


def plainly(view: View) -> Prose:
    """How often the recommended arm is right, against the best single one, or of predictions from elsewhere against the
    next best; where nobody counts right answers, the deciding measure."""
    name = "accuracy" if view.level(view.judged_as, "accuracy") else view.metric
    own = view.level(view.judged_as, name)
    if own is None or isinstance(own.value, Undefined):
        return ()
    right = name == "accuracy"
    subject = "It" if view.judged_as == view.winner else "As each fold chose anew, it"
    of = f" of {plural(own.n, 'judged item')} right" if own.n else " right"
    said: Prose = (
        (f"{subject} answers ", view.number(own), of)
        if right
        else (f"Its {quantity(name).title} is ", view.number(own))
    )
    leads = _leads(view) if right else ()
    if view.judged_as == view.best_single:
        return (*said, "; it is the best single model.", *leads)
    base = view.best_single or (view.rival if view.challenger == view.winner else view.challenger)
    other = view.level(base, name) if base else None
    if other is None or isinstance(other.value, Undefined):
        return (*said, ".")
    if view.arm(other.arm).get("method") == CHOSEN:
        return (*said, "; the best single model of each fold, ", view.number(other), ".", *leads)
    lead = "the best single model, " if view.best_single else _place(view, name)
    return (*said, f"; {lead}", Span(other.arm, tone="name"), ", ", view.number(other), ".", *leads)


def _place(view: View, name: str) -> str:
    """What the other is, of predictions from elsewhere, which have no best single model: the candidate that was asked
    about, or the next best, where all others were compared."""
    if view.challenger != view.winner:
        return "the candidate, "
    compared = {claim.versus for claim in view.claims if claim.arm == view.challenger}
    by = "" if name == view.metric else f" by {quantity(view.metric).title}"
    return f"the next best{by}, " if len(compared) == len(view.arms) - 1 else ""


def _leads(view: View) -> Prose:
    """The single model that answers more right than the best single one, which another measure chose."""
    chosen = view.level(view.best_single, "accuracy") if view.best_single else None
    if view.metric == "accuracy" or chosen is None or (least := defined(chosen)) is None:
        return ()
    rows = (view.level(str(arm.get("name")), "accuracy") for arm in view.arms if str(arm.get("name")).startswith(ALONE))
    ahead = [(value, row) for row in rows if row and (value := defined(row)) is not None and value > least]
    if not ahead:
        return ()
    row = max(ahead, key=lambda each: each[0])[1]
    if row.arm == view.recommendation.arm:
        return ()
    by, name = quantity(view.metric).title, Span(row.arm, tone="name")
    its, own = view.level(row.arm, view.metric), view.level(chosen.arm, view.metric)
    if its and own and _better(its, own):
        both = f", does better on the judged rows, in {by} and in accuracy ("
        return (" Another one, ", name, both, view.number(row), "); the best was chosen on other rows.")
    return (" ", name, " answers more right, ", view.number(row), f", but is no better by {by}, which decides.")


def _better(first: Evidence, second: Evidence) -> bool:
    """Whether the first of two levels is the better one."""
    one, other = defined(first), defined(second)
    if one is None or other is None:
        return False
    return one < other if first.direction == "lower" else one > other
