"""Would something simpler have done? Without it a fusion worse than one source, or no better than copies, slips by."""

from __future__ import annotations

from collections.abc import Mapping

from transfuse.evaluation import frequencies
from transfuse.evaluation.case import ELSEWHERE, Case
from transfuse.evaluation.claims import claimed, comparison_rows
from transfuse.evaluation.harm import worse_overall, worse_than_another
from transfuse.evaluation.recommend import beside, choose, shown_worse
from transfuse.evaluation.rows import Subject
from transfuse.evaluation.words import apart, named
from transfuse.types import Evidence, Flag

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
    single model; and `capacity_not_diversity` where a gain may be there and copies of one source are shown not
    inferior: of labels that mean nothing everything is as good as everything.
    """
    shipped = choose(case).arm.name
    arms = dict.fromkeys((shipped, case.winner))
    worse = (worse_overall(case, rows, arm) or worse_than_another(case, rows, arm) for arm in arms)
    found = [_worse(case, row, ships=row.arm == shipped) for row in worse if row is not None]
    copies = rows.get(Subject(case.winner, COPIES, case.split).id(case.task.metric))
    rival = copies is not None and _rivals_copies(copies) and _may_gain(case, rows)
    return [*found, _capacity(copies)] if copies is not None and rival else found


def _worse(case: Case, row: Evidence, *, ships: bool) -> Flag:
    """Of what ships with what to ship instead: the judged rows choose nothing, but a reader must not miss them."""
    handed = case.protocol == ELSEWHERE
    single = "the best of the others" if handed else "the best single source"
    if row.versus != case.best_single:
        single = "another one" if handed else f"another single model than {case.best_single}"
    why = (
        f"{f'What is recommended, {row.arm},' if ships else f'The best candidate, {row.arm},'} is shown worse than"
        f" {single}, {row.versus}: its {named(row.quantity)} {apart(row)}."
    )
    if ships:
        allowed = case.within_budget is None or row.versus in case.within_budget
        dear = "" if allowed else f", if the budget can be stretched: {row.versus} is not within it"
        why += f" The choice was made on {case.selected_on}; by the judged rows, ship {row.versus} instead{dear}."
    if row.family:
        why += f" It stands after correction over {row.family}."
    return Flag("worse_than_best_single", why, (row.id,))


def _may_gain(case: Case, rows: Mapping[str, Evidence]) -> bool:
    """Whether the winner may gain over the best single what counts, and knows more than the prior where there is
    one."""
    row = rows.get(Subject(case.winner, case.best_single, case.split).id(case.task.metric))
    if row is None or row.low is None or row.high is None or frequencies.knows_no_more(case, rows, case.winner):
        return False
    return (-row.low if row.direction == "lower" else row.high) > row.provenance["margin"]


def _rivals_copies(row: Evidence) -> bool:
    """Whether copies of one source are shown not inferior to the winner: its gain over them stays below the margin."""
    if row.low is None or row.high is None:
        return False
    margin = row.provenance["margin"]
    return row.low > -margin if row.direction == "lower" else row.high < margin


def _capacity(row: Evidence) -> Flag:
    does = f"are shown better than {row.arm}" if shown_worse(row) else f"do as well as {row.arm} or better"
    why = (
        f"Copies of the best single source, fused in the same way, {does}: its"
        f" {named(row.quantity)} {apart(row)}."
        " What it gains over one source may come from more columns, not from different sources."
    )
    return Flag("capacity_not_diversity", why, (row.id,))
