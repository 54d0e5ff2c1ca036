"""How much did choosing flatter? Without it the best of ten equal candidates would look like the better one."""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Quantity, Subject, evidence, mean_of_runs
from transfuse.evaluation.statistics.optimism import Optimism, bootstrap_choice, expected_maximum
from transfuse.evaluation.words import named, number
from transfuse.types import Evidence

ORDER = 58
CITATION = "Tsamardinos, Greasidou, Borboudakis, Machine Learning, 2018 (BBC-CV)"
SPLIT = "selection"


def ask(case: Case) -> list[Evidence]:
    """By how much the winner's value on the selection rows flatters it, because it was the best of several there: the
    bootstrap of the choice itself over those rows, run by run, and the most it could be (expected maximum of so many
    equal, independent candidates). The judged rows are not touched by this.
    """
    held = {
        run: losses
        for run, losses in case.selection_losses.items()
        if len(losses) > 1 and min(len(each) for each in losses.values()) > 1
    }
    if not held:
        return []
    metric = find_metric(case.chosen_by or case.task.metric)
    found = {run: bootstrap_choice(np.stack(list(losses.values()))) for run, losses in sorted(held.items())}
    counts = sorted({len(losses) for losses in held.values()})
    sign = 1.0 if metric.direction == "lower" else -1.0
    largest = expected_maximum(counts[-1])
    measured = mean_of_runs({run: sign * each.optimism for run, each in found.items()})
    quantity = Quantity("selection_optimism", metric.unit, metric.direction)
    at_most = largest * float(np.mean([each.se for each in found.values()]))
    about = {
        "metric": metric.name,
        "candidates": counts[-1],
        "expected_maximum_in_se": largest,
        "at_most": at_most,
        "chosen_again": float(np.mean([each.kept for each in found.values()])),
        "apparent": sign * float(np.mean([each.apparent for each in found.values()])),
        "corrected": sign * float(np.mean([each.corrected for each in found.values()])),
        "sentence": _sentence(metric, list(found.values()), counts[-1], at_most, case.chosen_on_judged),
    }
    return [evidence(quantity, Subject(case.winner, None, SPLIT), measured, about)]


def _sentence(metric: Metric, found: list[Optimism], count: int, at_most: float, judged: bool) -> str:
    optimism = float(np.mean([each.optimism for each in found]))
    kept = float(np.mean([each.kept for each in found]))
    last = (
        "It was chosen on the judged rows themselves, so what is claimed of the best one is flattered too."
        if judged
        else "The judged rows had no part in the choice."
    )
    flatters, most = (number(each, metric.unit) for each in (max(optimism, 0.0), at_most))
    return (
        f"The best of {count} candidates was chosen by {named(metric.name)}; repeating the choice on resamples of the"
        f" rows it was chosen on, its value there flatters it by about {flatters} (at most {most} if all were equal and"
        f" independent), and the same one is chosen in {100 * kept:.0f} % of resamples. {last}"
    )
