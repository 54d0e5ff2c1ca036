"""Does the winner beat everything it has to beat? Several claims side by side leave a reader to reckon that alone."""

from __future__ import annotations

from collections.abc import Sequence

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import other_singles, stands_alone
from transfuse.evaluation.claims import claimed, comparison_rows
from transfuse.evaluation.measure import compare
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.recommend import choose
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.statistics.resample import Interval
from transfuse.types import Evidence

ORDER = 23
CITATION = "Berger, Technometrics, 1982 (intersection–union tests)"
REQUIRED = Quantity("all_required", "probability", "lower", 0.0, 1.0)
SINGLES = Quantity("every_single", "probability", "lower", 0.0, 1.0)


def ask(case: Case) -> list[Evidence]:
    """The intersection–union test of the winner against all it was compared with, in the primary metric: it is shown
    better than all exactly where each single comparison shows it, each at its own level, and the p of the whole is the
    largest. Beside it, whether being worse by more than the margin is excluded everywhere (non-inferiority).

    p is that of `better` by more than the margin; 1 where the winner does not lead. Asked where there are two or more.

    The same of the winner, and of what ships, against every single model (`every_single`): where the best single was
    chosen badly, as inner folds may choose, beating it says little. `decides` names the single model that keeps the
    whole from being shown although the chosen one is beaten: the one with the least that the gain is at least. The
    differences to the others have rows of their own, Holm-corrected over them, since any of them might be shown better
    by luck.
    """
    versus = [other for arm, other in case.comparisons if arm == case.winner]
    rows = [_at_once(case, REQUIRED, case.winner, versus)] if len(versus) > 1 else []
    for arm in dict.fromkeys((case.winner, choose(case).arm.name)):
        if others := other_singles(case, arm):
            rows += _against_singles(case, arm, others)
    return rows


def _against_singles(case: Case, arm: str, others: Sequence[str]) -> list[Evidence]:
    """The paired differences to single models that nobody compared, and the test of all unless it is one itself."""
    couples = [(arm, other) for other in others if (arm, other) not in case.comparisons]
    rows = [
        row
        for metric in claimed(case)
        for row in (comparison_rows(case, couples, metric, corrected=len(couples) > 1) if couples else ())
    ]
    if stands_alone(case, arm):
        return rows
    return [*rows, _at_once(case, SINGLES, arm, [case.best_single, *others])]


def _at_once(case: Case, quantity: Quantity, arm: str, versus: Sequence[str]) -> Evidence:
    metric, margin = find_metric(case.task.metric), case.margin_of(case.task.metric)
    sign = -1.0 if metric.direction == "lower" else 1.0
    p, least = {}, {}
    for other in versus:
        found = compare(case.tables[arm], case.tables[other], metric).interval
        known = found if isinstance(found, Interval) else None
        leads = known is not None and sign * known.mean > margin
        p[other] = known.p(margin) if known is not None and leads else 1.0
        least[other] = float("-inf") if known is None else known.low if sign > 0 else -known.high
    open_ones = [other for other in versus if not least[other] > margin]
    safe = [other for other in versus if least[other] > -margin]
    about = {
        "metric": metric.name,
        "margin": margin,
        "required": list(versus),
        "by_comparison": p,
        "open": open_ones,
        "shown": not open_ones,
        "not_inferior_to": safe,
        "not_inferior": len(safe) == len(versus),
    }
    if quantity is SINGLES and open_ones and case.best_single not in open_ones:
        about["decides"] = min(open_ones, key=lambda other: least[other])
    method = f"intersection–union test: the largest p of {len(versus)} comparisons, each at its own level"
    return evidence(quantity, Subject(arm, None, case.split), Measured(max(p.values()), method=method), about)
