"""Does the winner beat everything it must? Without it one gap in a row of comparisons would go unseen."""

from __future__ import annotations

from transfuse.evaluation.case import Case
from transfuse.evaluation.measure import compare
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.statistics.resample import Interval
from transfuse.types import Evidence

ORDER = 26
CITATION = "Berger, Technometrics, 1982 (intersection–union tests)"
REQUIRED = Quantity("all_required", "probability", "lower", 0.0, 1.0)


def ask(case: Case) -> list[Evidence]:
    """The intersection–union test of the winner against all it was compared with, in the primary metric: it is shown
    better than all exactly where each single comparison shows it, each at its own level, and the p of the whole is the
    largest. Beside it, whether being worse by more than the margin is excluded everywhere (non-inferiority).

    p is that of `better` by more than the margin; 1 where the winner does not lead. Asked where there are two or more.
    """
    versus = [other for arm, other in case.comparisons if arm == case.winner]
    if len(versus) < 2:
        return []
    metric, margin = find_metric(case.task.metric), case.margin_of(case.task.metric)
    sign = -1.0 if metric.direction == "lower" else 1.0
    p, open_ones, safe = {}, [], []
    for other in versus:
        found = compare(case.tables[case.winner], case.tables[other], metric).interval
        known = found if isinstance(found, Interval) else None
        leads = known is not None and sign * known.mean > margin
        p[other] = known.p(margin) if known is not None and leads else 1.0
        lower = None if known is None else (known.low if sign > 0 else -known.high)
        if lower is None or not lower > margin:
            open_ones.append(other)
        if lower is not None and lower > -margin:
            safe.append(other)
    about = {
        "metric": metric.name,
        "margin": margin,
        "required": versus,
        "by_comparison": p,
        "open": open_ones,
        "shown": not open_ones,
        "not_inferior_to": safe,
        "not_inferior": len(safe) == len(versus),
    }
    method = f"intersection–union test: the largest p of {len(versus)} comparisons, each at its own level"
    return [evidence(REQUIRED, Subject(case.winner, None, case.split), Measured(max(p.values()), method=method), about)]
