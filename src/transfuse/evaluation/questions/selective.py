"""Does an arm know when it errs? Without it nobody could say what may be left to a person."""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.answers import right, sureness
from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import answers, chief, told
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, figures, mean_of_items
from transfuse.evaluation.statistics.selective import area, curve, excess_area, rank, risk_at
from transfuse.evaluation.tables import Table
from transfuse.types import Evidence

ORDER = 70
CITATION = "Geifman, El-Yaniv, NeurIPS 2017; Geifman, Uziel, El-Yaniv, ICLR 2019"
AURC = Quantity("aurc", "share", "lower", 0.0, 1.0)
E_AURC = Quantity("e_aurc", "share", "lower", 0.0, 1.0)
RISK = Quantity("risk_at_coverage", "share", "lower", 0.0, 1.0)
COVERAGES = (0.8, 0.9, 0.95)
POINTS = 50
UNRANKED = "numbers come without a confidence by which items could be ranked"


def ask(case: Case) -> list[Evidence]:
    """Area under the risk–coverage curve, the same less the best possible, and the error among the most confident
    80, 90 and 95 % of items, of the winner, the best single and the ensemble. Confidence is the highest probability; of
    labels the probability that all are as answered, and an item is right where they are.
    """
    if not answers(case):
        return []
    return [row for name in chief(case) for row in _rows(case, case.tables[name])]


def silent(case: Case) -> dict[str, str]:
    """Numbers come without a confidence."""
    return told(case, "answering in part (selective risk)", numbers=UNRANKED, scores=UNRANKED)


def _rows(case: Case, table: Table) -> list[Evidence]:
    targets = np.asarray(table.items.targets)
    wrong = (~right(table.probs, targets)).astype(np.float64)
    ranked = [rank(*run) for run in zip(sureness(table.probs, targets), wrong, strict=True)]
    curves = [curve(each, POINTS) for each in ranked]
    drawn = {"coverage": figures(curves[0][0]), "risk": figures(np.mean([risks for _, risks in curves], axis=0))}

    def over(values: list[np.ndarray]) -> Measured:
        return mean_of_items(np.stack(values), table.runs, table.items.groups, "ties averaged")

    whole = Subject(table.arm, None, case.split)
    rows = [
        evidence(AURC, whole, over([area(each) for each in ranked]), {"curve": drawn}),
        evidence(E_AURC, whole, over([excess_area(each) for each in ranked])),
    ]
    for coverage in COVERAGES:
        subject = Subject(table.arm, None, case.split, detail=f"{coverage:g}")
        rows.append(evidence(RISK, subject, over([risk_at(each, coverage) for each in ranked]), {"coverage": coverage}))
    return rows
