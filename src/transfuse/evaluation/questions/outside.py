"""Does an arm notice what it was not made for? Without it a sure answer to a picture of something else goes unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import answers, answers_labels, chief, told
from transfuse.evaluation.outside import (
    Measure,
    average_precision,
    average_precision_outside,
    crossed,
    false_positive_rate,
    measured,
    scores,
)
from transfuse.evaluation.rows import Quantity, Subject, evidence
from transfuse.evaluation.statistics.rank import TwoSided, auroc
from transfuse.evaluation.tables import Table, match_runs
from transfuse.types import Evidence

ORDER = 80
CITATION = (
    "Hendrycks, Gimpel, ICLR 2017; Liu et al., NeurIPS 2020 (energy); Hendrycks et al., ICML 2022 (max logit);"
    " Wang et al., NeurIPS 2021 (joint energy)"
)
MEASURES: Mapping[Quantity, Measure] = {
    Quantity("ood_auroc", "share", "higher", 0.0, 1.0): auroc,
    Quantity("ood_aupr_in", "share", "higher", 0.0, 1.0): average_precision,
    Quantity("ood_aupr_out", "share", "higher", 0.0, 1.0): average_precision_outside,
    Quantity("ood_fpr95", "share", "lower", 0.0, 1.0): false_positive_rate,
}


def ask(case: Case) -> list[Evidence]:
    """How well four scores of the winner, the best single and the ensemble tell judged items from each outside set;
    and the winner's area under the ROC curve less the best single's, by the same score on the same items.

    Judged items are the positive class. No score is tuned on an outside set. Of labels the energy is the joint one.
    """
    if not answers(case):
        return []
    rows = []
    for name, tables in sorted(case.outside.items()):
        for arm in chief(case):
            rows += _rows(case, name, case.tables[arm], tables[arm]) if arm in tables else []
        if case.winner != case.best_single and {case.winner, case.best_single} <= set(tables):
            rows += _against(case, name)
    return rows


def silent(case: Case) -> dict[str, str]:
    """Numbers come without a confidence that could fall."""
    why = "numbers come without a confidence that could be lower on items of another kind"
    return told(case, "items of another kind", numbers=why) if case.outside else {}


def _rows(case: Case, name: str, inside: Table, outside: Table) -> list[Evidence]:
    runs, ours, theirs, _ = match_runs(inside, outside)
    known, strange = (scores(each, labels=answers_labels(case)) for each in (inside, outside))
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


def _against(case: Case, name: str) -> list[Evidence]:
    """The difference in areas, winner − best single, with DeLong's paired variance."""
    sides = [(case.tables[arm], case.outside[name][arm]) for arm in (case.winner, case.best_single)]
    shared = [set(inside.runs) & set(outside.runs) for inside, outside in sides]
    runs = tuple(run for run in sides[0][0].runs if all(run in held for held in shared))
    if not runs:
        return []
    labels = answers_labels(case)
    first, second = (_placements(side, runs, sides[0], labels=labels) for side in sides)
    groups = sides[0][0].items.groups
    return [
        evidence(
            Quantity("ood_auroc", "share", "higher"),
            Subject(case.winner, case.best_single, case.split, name, score),
            crossed([one.minus(two) for one, two in zip(first[score], second[score], strict=True)], runs, groups),
            {"score": score, "positive": "inside", "variance": "DeLong, paired"},
        )
        for score in first
        if score in second
    ]


def _placements(
    sides: tuple[Table, Table], runs: Sequence[str], order: tuple[Table, Table], *, labels: bool
) -> dict[str, list[TwoSided]]:
    """The area of each run by score, its items in the order of the first arm's."""
    found: dict[str, list[TwoSided]] = {}
    known = [_ordered(scores(side, labels=labels), side, like, runs) for side, like in zip(sides, order, strict=True)]
    for score in known[0]:
        if score in known[1]:
            found[score] = [auroc(*run) for run in zip(known[0][score], known[1][score], strict=True)]
    return found


def _ordered(found: dict[str, np.ndarray], table: Table, like: Table, runs: Sequence[str]) -> dict[str, np.ndarray]:
    """Scores [k, N] of these runs, rows in the order of another table of the same items."""
    places = {item: row for row, item in enumerate(table.items.ids)}
    rows = [places[item] for item in like.items.ids]
    kept = [table.runs.index(run) for run in runs]
    return {score: values[kept][:, rows] for score, values in found.items()}
