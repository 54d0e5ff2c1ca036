"""A search before the plan: without it `candidates: auto` would have to train all that it chooses among."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from transfuse.errors import UserError
from transfuse.plan.graph import Plan
from transfuse.plan.make import make_plan
from transfuse.plan.search import search_plan, searched_ladder
from transfuse.run.engine import Walk
from transfuse.run.prepare import Prepared
from transfuse.store import Store

# Computes the targets of a plan; the walk then knows their keys.
Compute = Callable[[Walk], None]


def wanted(prepared: Prepared) -> bool:
    """Whether the recipe leaves it to a search what is compared."""
    return prepared.recipe.candidates == "auto"


def search_of(prepared: Prepared, probes: Callable[[], Mapping[str, str]]) -> Plan:
    """The plan of the search; machines are timed only where the budget has a time."""
    budget = prepared.recipe.budget
    timed = budget.latency is not None or budget.train is not None
    return search_plan(prepared.setting, probes() if timed else {})


def searched(prepared: Prepared, plan: Plan, store: Store, compute: Compute | None) -> Prepared | None:
    """The prepared run with the search's finalists as its candidates; None where nothing was computed yet and nobody
    may. Raises UserError where a search found nothing within the budget."""
    walk = Walk(plan, store)
    if walk.ready(plan.targets) is not None:
        if compute is None:
            return None
        compute(walk)
    keys = {name.removeprefix("search"): walk.done[name] for name in plan.targets}
    found: dict[str, Any] = {label: store.need(key).meta for label, key in keys.items()}
    for answer in found.values():
        if "failed" in answer:
            raise UserError(
                "the search for candidates ends with none",
                where="recipe, candidates: auto",
                got=answer["failed"],
                hint="raise the budget, or name candidates: [features/concat, features/gate]",
            )
    arms = searched_ladder(prepared.setting, found, keys)
    return replace(prepared, ladder=arms, plan=make_plan(prepared.setting, arms))
