"""What to ship: without this rule a verdict that shows nothing would leave the reader with nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from transfuse.errors import UserError
from transfuse.evaluation.case import ELSEWHERE, PRIOR, Case
from transfuse.evaluation.claims import comparison_rows
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.words import named, number
from transfuse.figures import scaled
from transfuse.types import Arm, Evidence, Recommendation


def shown_worse(row: Evidence) -> bool:
    """Whether the 95 % interval of arm − versus lies on the wrong side of zero (margin 0)."""
    if row.low is None or row.high is None:
        return False
    return row.low > 0 if row.direction == "lower" else row.high < 0


def shown_better(row: Evidence) -> bool:
    """Whether the 95 % interval of arm − versus lies on the right side of zero (margin 0)."""
    if row.low is None or row.high is None:
        return False
    return row.high < 0 if row.direction == "lower" else row.low > 0


def badness(case: Case, name: str) -> float:
    """The primary metric on the selection rows, turned so that lower is better."""
    sign = 1.0 if find_metric(case.task.metric).direction == "lower" else -1.0
    return sign * case.selection[name]


def cost_order(case: Case, arm: Arm) -> tuple[float, float, float, str]:
    """Fewest inference FLOPs, then parameters, then bytes on disk, then name; arms of unknown cost come last, in the
    order of selection."""
    if arm.cost is None:
        return math.inf, math.inf, badness(case, arm.name), arm.name
    return arm.cost.inference_flops, float(arm.cost.parameters), float(arm.cost.stored_bytes or 0), arm.name


def may_ship(case: Case) -> list[Arm]:
    """Judged candidates and baselines, without the prior."""
    found = [
        arm
        for arm in case.arms
        if arm.role in ("candidate", "baseline")
        and arm.name != PRIOR
        and arm.name in case.tables
        and arm.name in case.selection
    ]
    if not found:
        raise UserError("no candidate or baseline has been judged, so there is nothing to recommend")
    return found


@dataclass(frozen=True)
class Choice:
    """The arm to ship, and what that rests on: `best` on the selection rows, `near` it, and those shown worse."""

    arm: Arm
    best: Arm
    near: tuple[Arm, ...]
    worse: tuple[Arm, ...]
    rows: tuple[Evidence, ...]
    over_budget: bool


def choose(case: Case) -> Choice:
    """Ship the cheapest arm that is within the margin of the best on the selection rows and not shown worse than it.

    B is the best there among judged candidates and baselines within budget. Cheapest: fewest inference FLOPs, then
    parameters, then name. "Not shown worse" is on the judged rows at margin 0. If nothing is within budget, the
    cheapest arm of all is shipped and the reason says so.
    """
    pool = may_ship(case)
    within = [arm for arm in pool if case.within_budget is None or arm.name in case.within_budget]
    if not within:
        cheapest = min(pool, key=lambda arm: cost_order(case, arm))
        return Choice(cheapest, cheapest, (cheapest,), (), (), True)
    best = min(within, key=lambda arm: (badness(case, arm.name), cost_order(case, arm)))
    limit = badness(case, best.name) + case.margin_of(case.task.metric)
    near = [arm for arm in within if arm is best or badness(case, arm.name) <= limit]
    couples = [(arm.name, best.name) for arm in near if arm is not best]
    rows = comparison_rows(case, couples, case.task.metric, corrected=False)
    fallen = {row.arm for row in rows if shown_worse(row)}
    left = [arm for arm in near if arm.name not in fallen]
    shipped = min(left, key=lambda arm: cost_order(case, arm))
    return Choice(shipped, best, tuple(near), tuple(arm for arm in near if arm.name in fallen), tuple(rows), False)


def beside(case: Case, choice: Choice) -> list[tuple[str, str]]:
    """What ships against the best single, where nobody asked for that: else nothing would be claimed of what ships.

    Predictions from elsewhere have no ladder: there it is held against the best of the others on the selection rows,
    unless it is the candidate that was asked about.
    """
    shipped, rival = choice.arm.name, case.best_single
    if case.protocol == ELSEWHERE:
        others = [arm.name for arm in may_ship(case) if arm.name != shipped]
        rival = min(others, key=lambda name: (badness(case, name), name), default=shipped)
        if shipped == case.winner:
            return []
    compared = {frozenset(each) for each in case.comparisons}
    return [] if shipped == rival or frozenset((shipped, rival)) in compared else [(shipped, rival)]


def recommend(case: Case, choice: Choice) -> Recommendation:
    """The choice in words for the person who ships it."""
    shipped, best = choice.arm, choice.best
    metric = find_metric(case.task.metric)
    what, margin = named(metric.name), number(case.margin_of(metric.name), metric.unit)

    def on_selection(arm: Arm) -> str:
        return number(case.selection[arm.name], metric.unit)

    if choice.over_budget:
        why = f"No arm is within the budget; {shipped.name} is the cheapest there is ({_cost(shipped)})."
    elif len(may_ship(case)) == 1:
        why = f"{best.name} is the only one that could ship, so nothing was chosen."
    elif shipped is best:
        others = [arm.name for arm in choice.near if arm is not best and arm not in choice.worse]
        priced = best.cost and all(arm.cost for arm in choice.near)
        dearer = "no" if priced else "not known to be"
        beside = f"As good within the margin ({margin}), but {dearer} cheaper: {', '.join(others)}."
        holds = "that holds on the judged rows " if choice.worse else ""
        rest = beside if others else f"No other arm {holds}comes within the margin ({margin})."
        why = f"{best.name} has the best {what} on {case.selected_on}: {on_selection(best)}. {rest}"
    else:
        why = (
            f"{shipped.name} costs least to run ({_cost(shipped)}) among the arms whose {what} on {case.selected_on}"
            f" is within the margin ({margin}) of the best, {best.name} ({_cost(best)}):"
            f" {on_selection(shipped)} against {on_selection(best)}."
            f" On the judged rows it is not shown worse than {best.name}."
        )
    if choice.worse:
        names = ", ".join(arm.name for arm in choice.worse)
        why += f" Passed over, because shown worse than {best.name} on the judged rows: {names}."
    return Recommendation(shipped.name, shipped.form, why)


def _cost(arm: Arm) -> str:
    """The counted inference cost in words."""
    if arm.cost is None:
        return "cost not known"
    return f"{scaled(arm.cost.inference_flops, 'FLOP')} per item, {scaled(arm.cost.parameters)} parameters"
