"""What do the folds say of the methods? Without it a cross-fitted gain could be the luck of the rows trained on."""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import item_metric
from transfuse.evaluation.measure import shared_folds
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.statistics.folds import FoldMeans, Rope, fold_means, rope
from transfuse.evaluation.tables import differences
from transfuse.types import Evidence, Undefined

ORDER = 24
CITATION = "Nadeau, Bengio, Machine Learning, 2003; Corani, Benavoli, Machine Learning, 2015"
PROBABILITY = Quantity("rope", "probability", "higher", 0.0, 1.0)
SURE = 0.95


def ask(case: Case) -> list[Evidence]:
    """Of each comparison of cross-fitted arms: the posterior probability that arm is better by more than the margin,
    as good within it, and worse by more, from the fold means with the corrected variance.
    """
    metric = item_metric(case)
    if metric is None:
        return []
    margin = case.margin_of(metric.name)
    rows = []
    for arm, versus in case.comparisons:
        first, second = case.tables[arm], case.tables[versus]
        folds = shared_folds(first, second)
        found = None if folds is None else fold_means(differences(first, second, metric), folds)
        if isinstance(found, FoldMeans):
            rows.append(_row(case, (arm, versus), found, margin, metric.name, metric.direction == "lower"))
    return rows


def _row(case: Case, couple: tuple[str, str], found: FoldMeans, margin: float, metric: str, lower: bool) -> Evidence:
    subject = Subject(*couple, case.split)
    posterior = rope(found, margin)
    spread = {"metric": metric, "margin": margin, "folds": found.count, "fold_means": [float(v) for v in found.values]}
    if isinstance(posterior, Undefined):
        return evidence(PROBABILITY, subject, Measured.not_there(posterior.reason), spread)
    better, worse = (posterior.below, posterior.above) if lower else (posterior.above, posterior.below)
    about = {
        "better": better,
        "equivalent": posterior.within,
        "worse": worse,
        "corrected_se": found.se,
        "naive_se": float(found.values.std(ddof=1) / np.sqrt(found.count)),
        "reading": _reading(posterior, better, worse),
    }
    method = f"correlated Bayesian t over {found.count} folds, flat prior; probability that {couple[0]} is better"
    return evidence(PROBABILITY, subject, Measured(better, method=method), spread | about)


def _reading(posterior: Rope, better: float, worse: float) -> str:
    words = {"better": better, "equivalent": posterior.within, "worse": worse}
    word = max(words, key=lambda each: words[each])
    return word if words[word] >= SURE else "not shown"
