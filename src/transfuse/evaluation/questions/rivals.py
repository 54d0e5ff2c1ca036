"""Would something simpler have done? Without it a fusion worse than one source, or no better than copies, slips by."""

from __future__ import annotations

from collections.abc import Mapping

from transfuse.evaluation.case import Case
from transfuse.evaluation.claims import comparison_rows
from transfuse.evaluation.harm import worse_overall
from transfuse.evaluation.recommend import shown_worse
from transfuse.evaluation.words import digits, named
from transfuse.types import CLEAN, Evidence, Flag

ORDER = 28
COPIES = "copies"


def ask(case: Case) -> list[Evidence]:
    """The winner against the best single, where nobody compared them and the winner is shown worse."""
    couple = (case.winner, case.best_single)
    if case.winner == case.best_single or couple in case.comparisons:
        return []
    return [row for row in comparison_rows(case, [couple], case.task.metric, corrected=False) if shown_worse(row)]


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """`worse_than_best_single`; and `capacity_not_diversity` where copies of one source are shown not inferior."""
    worse = worse_overall(case, rows)
    found = [] if worse is None else [_worse(worse)]
    of_copies = (row for row in rows.values() if (row.arm, row.versus) == (case.winner, COPIES))
    return found + [_capacity(row) for row in of_copies if row.quantity == case.task.metric and _rivals_copies(row)]


def _ends(row: Evidence) -> str:
    ends = (digits(end or 0.0, row.unit, signed=True) for end in (row.low, row.high))
    return f"{' to '.join(ends)} {'points' if row.unit == 'share' else row.unit}"


def _worse(row: Evidence) -> Flag:
    why = (
        f"The best candidate, {row.arm}, is shown worse than the best single source, {row.versus}:"
        f" its {named(row.quantity)} differs by {_ends(row)} ({row.direction} is better)."
    )
    return Flag("worse_than_best_single", why, (row.id,))


def _rivals_copies(row: Evidence) -> bool:
    """Whether copies of one source are shown not inferior to the winner: its gain over them stays below the margin."""
    if row.low is None or row.high is None or row.condition != CLEAN:
        return False
    margin = row.provenance["margin"]
    return row.low > -margin if row.direction == "lower" else row.high < margin


def _capacity(row: Evidence) -> Flag:
    why = (
        f"Copies of the best single source, fused in the same way, do as well as {row.arm} or better: its"
        f" {named(row.quantity)} differs from theirs by {_ends(row)} ({row.direction} is better)."
        " What it gains over one source may come from more columns, not from different sources."
    )
    return Flag("capacity_not_diversity", why, (row.id,))
