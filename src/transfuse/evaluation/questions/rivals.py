"""Would something simpler have done? Without it a fusion worse than one source, or no better than copies, slips by."""

from __future__ import annotations

from collections.abc import Mapping

from transfuse.evaluation.case import ELSEWHERE, Case
from transfuse.evaluation.claims import claimed, comparison_rows
from transfuse.evaluation.harm import worse_overall, worse_than_another
from transfuse.evaluation.recommend import beside, choose, shown_worse
from transfuse.evaluation.words import ends, named
from transfuse.types import CLEAN, Evidence, Flag

ORDER = 28
COPIES = "copies"


def ask(case: Case) -> list[Evidence]:
    """What nobody compared: what ships against the best single, and the winner where it is shown worse than that."""
    shipped = [
        row
        for metric in claimed(case)
        for row in comparison_rows(case, beside(case, choose(case)), metric, corrected=False)
    ]
    couple = (case.winner, case.best_single)
    if case.winner == case.best_single or couple in case.comparisons:
        return shipped
    rows = comparison_rows(case, [couple], case.task.metric, corrected=False)
    return [*shipped, *(row for row in rows if shown_worse(row))]


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """`worse_than_best_single`, of what ships and of the winner, by the best single or, after correction, by another
    single model; and `capacity_not_diversity` where copies of one source are shown not inferior.
    """
    shipped = choose(case).arm.name
    arms = dict.fromkeys((shipped, case.winner))
    worse = (worse_overall(case, rows, arm) or worse_than_another(case, rows, arm) for arm in arms)
    found = [_worse(case, row, ships=row.arm == shipped) for row in worse if row is not None]
    of_copies = (row for row in rows.values() if (row.arm, row.versus) == (case.winner, COPIES))
    return found + [_capacity(row) for row in of_copies if row.quantity == case.task.metric and _rivals_copies(row)]


def _worse(case: Case, row: Evidence, *, ships: bool) -> Flag:
    """Of what ships with what to ship instead: the judged rows choose nothing, but a reader must not miss them."""
    single = "the best of the others" if case.protocol == ELSEWHERE else "the best single source"
    if row.versus != case.best_single:
        single = f"another single model than {case.best_single}"
    why = (
        f"{f'What is recommended, {row.arm},' if ships else f'The best candidate, {row.arm},'} is shown worse than"
        f" {single}, {row.versus}: its {named(row.quantity)} differs by {ends(row)} ({row.direction} is better)."
    )
    if ships:
        allowed = case.within_budget is None or row.versus in case.within_budget
        dear = "" if allowed else f", if the budget can be stretched: {row.versus} is not within it"
        why += f" The choice was made on {case.selected_on}; by the judged rows, ship {row.versus} instead{dear}."
    if row.family:
        why += f" It stands after correction over {row.family}."
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
        f" {named(row.quantity)} differs from theirs by {ends(row)} ({row.direction} is better)."
        " What it gains over one source may come from more columns, not from different sources."
    )
    return Flag("capacity_not_diversity", why, (row.id,))
