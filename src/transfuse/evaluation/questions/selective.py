"""Does an arm know when it errs? Without it nobody could say what may be left to a person."""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import chief, classifies
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, figures, mean_of_items
from transfuse.evaluation.selective import area, curve, excess_area, rank, risk_at
from transfuse.evaluation.tables import Table
from transfuse.types import Evidence

ORDER = 70
CITATION = "Geifman, El-Yaniv, NeurIPS 2017; Geifman, Uziel, El-Yaniv, ICLR 2019"
AURC = Quantity("aurc", "share", "lower", 0.0, 1.0)
E_AURC = Quantity("e_aurc", "share", "lower", 0.0, 1.0)
RISK = Quantity("risk_at_coverage", "share", "lower", 0.0, 1.0)
COVERAGES = (0.8, 0.9, 0.95)
POINTS = 50


def ask(case: Case) -> list[Evidence]:
    """Area under the risk–coverage curve, the same less the best possible, and the error among the most confident
    80, 90 and 95 % of items, of the winner, the best single and the ensemble. Confidence is the highest probability.
    """
    if not classifies(case):
        return []
    return [row for name in chief(case) for row in _rows(case, case.tables[name])]


def _rows(case: Case, table: Table) -> list[Evidence]:
    targets = np.asarray(table.items.targets)
    ranked = [rank(run.max(axis=1), (run.argmax(axis=1) != targets).astype(np.float64)) for run in table.probs]
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
