"""What does a source still know of its own task? Without it forgetting would go unseen until somebody needs it."""

from __future__ import annotations

from transfuse.evaluation.case import Case
from transfuse.evaluation.rows import Quantity, Subject, evidence, mean_of_runs
from transfuse.types import Evidence

ORDER = 97
CITATION = "Lopez-Paz, Ranzato, NeurIPS 2017; Chaudhry et al., ECCV 2018 (forgetting)"
PREFIX = "retention_kl:"
RETENTION = Quantity("retention_kl", "nats", "lower", 0.0)
NOTE = "a proxy: how far the source's own answers moved on the target's rows, not what it lost on its own task"


def ask(case: Case) -> list[Evidence]:
    """Mean divergence KL(before ‖ after) of each source's own answers on the selection rows; exactly 0 where frozen."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for seen in case.observations:
        if seen.quantity.startswith(PREFIX):
            couple = seen.arm, seen.quantity.removeprefix(PREFIX)
            found.setdefault(couple, {})[seen.run] = seen.value
    return [
        evidence(RETENTION, Subject(arm, source, "selection"), mean_of_runs(dict(sorted(runs.items())), note=NOTE))
        for (arm, source), runs in sorted(found.items())
    ]
