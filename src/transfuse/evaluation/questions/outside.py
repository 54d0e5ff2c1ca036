"""Does an arm notice what it was not made for? Without it a sure answer to a picture of something else goes unseen."""

from __future__ import annotations

from collections.abc import Mapping

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import chief, classifies
from transfuse.evaluation.outside import (
    Measure,
    auroc,
    average_precision,
    average_precision_outside,
    false_positive_rate,
    measured,
    scores,
)
from transfuse.evaluation.rows import Quantity, Subject, evidence
from transfuse.evaluation.tables import Table, match_runs
from transfuse.types import Evidence

ORDER = 80
CITATION = "Hendrycks, Gimpel, ICLR 2017; Liu et al., NeurIPS 2020 (energy); Hendrycks et al., ICML 2022 (max logit)"
MEASURES: Mapping[Quantity, Measure] = {
    Quantity("ood_auroc", "share", "higher", 0.0, 1.0): auroc,
    Quantity("ood_aupr_in", "share", "higher", 0.0, 1.0): average_precision,
    Quantity("ood_aupr_out", "share", "higher", 0.0, 1.0): average_precision_outside,
    Quantity("ood_fpr95", "share", "lower", 0.0, 1.0): false_positive_rate,
}


def ask(case: Case) -> list[Evidence]:
    """How well four scores of the winner, the best single and the ensemble tell judged items from each outside set.

    Judged items are the positive class. No score is tuned on an outside set.
    """
    if not classifies(case):
        return []
    return [
        row
        for name, tables in sorted(case.outside.items())
        for arm in chief(case)
        if arm in tables
        for row in _rows(case, name, case.tables[arm], tables[arm])
    ]


def _rows(case: Case, name: str, inside: Table, outside: Table) -> list[Evidence]:
    runs, ours, theirs, _ = match_runs(inside, outside)
    known, strange = scores(inside), scores(outside)
    return [
        evidence(
            quantity,
            Subject(inside.arm, None, case.split, name, score),
            measured(measure, known[score][ours], strange[score][theirs], runs, inside.items.groups),
            {"score": score, "positive": "inside", "outside_items": len(outside.items)},
        )
        for score in known
        if score in strange
        for quantity, measure in MEASURES.items()
    ]
