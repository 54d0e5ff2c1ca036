"""Claims in a line: which one decides, what it says, and whether what ships is shown worse; the terminal, the tables of
runs and the sections of the report tell the same.
"""

from __future__ import annotations

from dataclasses import replace

from transfuse.figures import plural
from transfuse.report.blocks import Prose, Span
from transfuse.report.numbers import better, bounds, spell
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import CHOSEN, STATUS
from transfuse.types import Claim, Evidence, Undefined

BEATEN = "worse_than_best_single"
SINGLES = "every_single"
# How the interval of two arms begins whose predictions are equal.
IDENTICAL = "identical predictions"


def deciding(view: View) -> Claim | None:
    """The challenger's claim against its first rival in the deciding measure, or against the single model that is not
    shown to be beaten although that rival is."""
    own = [claim for claim in view.claims if (claim.arm, claim.versus) == (view.challenger, view.rival)]
    found = next((claim for claim in own if claim.quantity == view.metric), next(iter(own), None))
    return found and (unbeaten(view, found) or found)


def unbeaten(view: View, claim: Claim) -> Claim | None:
    """The claim that decides in the place of one against the best single model: against the single model that keeps the
    arm from being shown better than every one of them."""
    row = next(iter(view.find(SINGLES, arm=claim.arm)), None)
    if row is None or claim.status != "better" or claim.versus != view.best_single:
        return None
    couple = (claim.arm, row.provenance.get("decides"), claim.quantity)
    return next((each for each in view.claims if (each.arm, each.versus, each.quantity) == couple), None)


def beaten(view: View) -> Evidence | None:
    """The row by which what ships is shown worse than the best single model, where a flag says so."""
    named = (view.rows[name] for flag in view.flags if flag.flag == BEATEN for name in view.known(flag.evidence))
    return next((row for row in named if row.arm == view.judged_as), None)


def in_a_line(view: View, found: Claim) -> Prose:
    """Status, who against whom, and how far apart."""
    single = "the best single model"
    rival = f"{found.versus}, {single}" if found.versus == view.best_single else found.versus
    chosen = [name for name in (found.arm, found.versus) if view.arm(name).get("method") == CHOSEN]
    rival = single if found.versus in chosen and found.versus == view.best_single else rival
    who = "both " if len(chosen) == 2 else "" if found.versus in chosen else f"{found.arm} "
    rival += f" ({who}chosen anew in each fold)" if chosen else ""
    shipped = ", what each fold would have shipped," if found.arm == view.judged_as != view.winner else ""
    return (
        Span(f"{STATUS[found.status]}. ", view.known(found.evidence), tone=found.status),
        f"{found.arm}{shipped} against {rival}: ",
        *distance(view, found),
        *_despite(view, found),
    )


def _despite(view: View, found: Claim) -> Prose:
    """Why a single model decides that was not chosen as the best one."""
    if view.best_single in (None, found.versus) or found.versus not in _deciding_singles(view, found.arm):
        return ()
    return (
        f" The best single model as it was chosen{' in each fold' if _jumps(view) else ''} is shown to be beaten, but"
        " fusing pays only where every single model is.",
    )


def _deciding_singles(view: View, arm: str) -> list[object]:
    return [row.provenance.get("decides") for row in view.find(SINGLES, arm=arm)]


def _jumps(view: View) -> bool:
    return view.arm(view.best_single or "").get("method") == CHOSEN


def distance(view: View, claim: Claim) -> Prose:
    """The difference and what counts as one, in a line; the claim's own words where there is no interval."""
    row = view.claimed(claim)
    limits = bounds(row) if row is not None else ()
    if row is not None and row.method.startswith(IDENTICAL):
        return (f"on all {plural(row.n, 'judged item')} both give the very same predictions.",)
    if row is not None and not limits and not isinstance(row.value, Undefined):
        return (f"{quantity(claim.quantity).title} differs by ", view.number(row), f"; {row.method}.")
    if row is None or not limits:
        return told(view, claim)
    margin = row.provenance.get("margin")
    counts = (
        f"; differences count from {amount(row, float(margin))}" if isinstance(margin, int | float) and margin else ""
    )
    return (
        f"{quantity(claim.quantity).title} differs by ",
        view.number(row),
        f", 95 % interval {' to '.join(limits)} ({better(row.direction)}{counts}).{_too_small(row, claim)}",
    )


def _too_small(row: Evidence, claim: Claim) -> str:
    """Why a difference that seems to be there is not shown."""
    away = row.low is not None and row.high is not None and row.low * row.high > 0.0
    if claim.status != "not shown" or not away or not row.provenance.get("margin"):
        return ""
    return " The interval leaves out 0, but not differences that are too small to count."


def amount(row: Evidence, size: float) -> str:
    """A size on the row's scale, spelled without a sign."""
    return spell(replace(row, value=size, low=None, high=None), interval=False).lstrip("+")


def told(view: View, claim: Claim) -> Prose:
    """The claim's words, without the names and status that stand above it already; from the row where it has none."""
    opening = f"{claim.arm} against {claim.versus}, "
    if claim.sentence.startswith(opening):
        return (claim.sentence.removeprefix(opening).partition(": ")[2] or claim.sentence,)
    if claim.sentence:
        return (claim.sentence,)
    row = view.claimed(claim)
    status = STATUS[claim.status].lower()
    if row is None:
        return (f"{status}; the record holds no number for this comparison.",)
    if isinstance(row.value, Undefined):
        return (f"{status}; the difference is undefined: {row.value.reason}.",)
    return (f"{status}; the difference is ", Span(spell(row), (row.id,)), f" ({better(row.direction)}).")
