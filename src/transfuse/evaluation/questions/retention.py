"""What does a source still know of its own task? Without it forgetting would go unseen until somebody needs it."""

from __future__ import annotations

from transfuse.evaluation.case import Case
from transfuse.evaluation.rows import Quantity, Subject, evidence, mean_of_runs
from transfuse.types import Evidence

ORDER = 97
CITATION = "Lopez-Paz, Ranzato, NeurIPS 2017; Chaudhry et al., ECCV 2018 (forgetting)"
PREFIX = "retention_kl:"
RETENTION = Quantity("retention_kl", "nats", "lower", 0.0)
BEFORE, AFTER = "own_accuracy_before:", "own_accuracy_after:"
OWN = Quantity("own_accuracy_change", "share", "higher", -1.0, 1.0)
NOTE = "a proxy: how far the source's own answers moved on the target's rows, not what it lost on its own task"


def ask(case: Case) -> list[Evidence]:
    """Mean divergence KL(before ‖ after) of each source's own answers on the selection rows, exactly 0 where frozen;
    and the change of its own head's accuracy on items of its own task, where such items were given.
    """
    moved, before, after = (_by_couple(case, prefix) for prefix in (PREFIX, BEFORE, AFTER))
    rows = [
        evidence(RETENTION, Subject(arm, source, "selection"), mean_of_runs(runs, note=NOTE))
        for (arm, source), runs in moved.items()
    ]
    for (arm, source), runs in after.items():
        first = before.get((arm, source), {})
        change = {run: value - first[run] for run, value in runs.items() if run in first}
        if change:
            about = {"before": first, "after": runs}
            subject = Subject(arm, source, "own")
            rows.append(evidence(OWN, subject, mean_of_runs(change, note="on the source's own items"), about))
    return rows


def _by_couple(case: Case, prefix: str) -> dict[tuple[str, str], dict[str, float]]:
    """What was seen under names that begin so, by (arm, source) and run, in their order."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for seen in case.observations:
        if seen.quantity.startswith(prefix):
            found.setdefault((seen.arm, seen.quantity.removeprefix(prefix)), {})[seen.run] = seen.value
    return {couple: dict(sorted(runs.items())) for couple, runs in sorted(found.items())}
