"""What would settle it most cheaply? Without it a reader told "not shown" does not know what to do tomorrow."""

from __future__ import annotations

from transfuse.evaluation.case import Case
from transfuse.evaluation.claims import paired_rows
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.statistics.next import cheapest
from transfuse.types import Evidence

ORDER = 25


def ask(case: Case) -> list[Evidence]:
    """When the winner is not shown better, worse or equivalent to the best single: so many more rows or runs.

    From the spread of items and of runs in the primary metric, at the difference seen; where the claim is corrected for
    other comparisons, so is this.
    """
    if case.winner == case.best_single:
        return []
    couple = (case.winner, case.best_single)
    couples = case.comparisons if couple in case.comparisons else (couple,)
    corrected = case.corrected and couple in case.comparisons
    row = paired_rows(case, couples, case.task.metric, corrected)[couples.index(couple)]
    if row.provenance["status"] != "not shown" or row.low is None or row.low == row.high:
        # Equal predictions stay equal, however many rows are added.
        return []
    items, runs = row.provenance.get("settling_items"), row.provenance.get("settling_runs")
    costs = [arm.cost for arm in case.arms if arm.name in (case.winner, case.best_single)]
    known = [cost.train_flops for cost in costs if cost is not None]
    spent = sum(known) if len(known) == len(costs) else None
    step = cheapest(row.n, row.seeds, items, runs, spent, row.provenance.get("groups"))
    about = {"sentence": step.sentence, "kind": step.kind, "flops": step.flops}
    subject = Subject(case.winner, case.best_single, case.split)
    quantity = Quantity("next_experiment", "rows" if step.kind == "items" else "runs", "lower", 0.0)
    if step.kind == "neither":
        return [evidence(quantity, subject, Measured.not_there(step.sentence, row.n), about)]
    return [
        evidence(quantity, subject, Measured(float(step.more), row.n, method="from the spread seen, 80 % power"), about)
    ]
