"""Claims in a line: which one decides, what it says, and whether what ships is shown worse; the terminal, the tables of
runs and the sections of the report tell the same.
"""

from __future__ import annotations

from dataclasses import replace

from transfuse.report.blocks import Prose, Span
from transfuse.report.numbers import better, bounds, spell
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import CHOSEN, STATUS
from transfuse.types import Claim, Evidence, Undefined

BEATEN = "worse_than_best_single"


def deciding(view: View) -> Claim | None:
    """The challenger's claim against its first rival in the deciding measure."""
    own = [claim for claim in view.claims if (claim.arm, claim.versus) == (view.challenger, view.rival)]
    return next((claim for claim in own if claim.quantity == view.metric), next(iter(own), None))


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
    rival += f" ({'both' if len(chosen) == 2 else chosen[0]} chosen anew in each fold)" if chosen else ""
    return (
        Span(f"{STATUS[found.status]}. ", view.known(found.evidence), tone=found.status),
        f"{found.arm} against {rival}: ",
        *distance(view, found),
    )


def distance(view: View, claim: Claim) -> Prose:
    """The difference and what counts as one, in a line; the claim's own words where there is no interval."""
    row = view.claimed(claim)
    limits = bounds(row) if row is not None else ()
    if row is None or not limits:
        return told(view, claim)
    margin = row.provenance.get("margin")
    counts = f"; what counts is {amount(row, float(margin))}" if isinstance(margin, int | float) and margin else ""
    return (
        f"{quantity(claim.quantity).title} differs by ",
        view.number(row),
        f", 95 % interval {' to '.join(limits)} ({better(row.direction)}{counts}).",
    )


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
