"""Do two sources see the same? Without it a second source that repeats the first would look like a new one."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from transfuse import seeds
from transfuse.evaluation.case import Case
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.statistics.similarity import debiased_cka, prepare
from transfuse.types import Evidence

ORDER = 65
CITATION = "Kornblith et al., ICML 2019; Song et al., JMLR 2012 (debiased); Davari et al., ICLR 2023 (its limits)"
CKA = Quantity("cka", "CKA", "lower", None, 1.0)
MOST_ROWS = 4096
MOST_SOURCES = 10
METHOD = "debiased linear CKA of frozen features; it can change while all answers stay: never a decision input"


def ask(case: Case) -> list[Evidence]:
    """Debiased linear CKA of each pair of sources' features on the rows apart from the judged ones.

    Above 4,096 rows, those with the lowest draw of their ids. A description, never an input to a decision.
    """
    if case.features is None or len(case.features.blocks) < 2:
        return []
    draws = seeds.uniform(list(case.features.items.ids), "evaluate", "similarity")
    rows = np.sort(np.argsort(draws, kind="stable")[:MOST_ROWS])
    names = sorted(case.features.blocks)[:MOST_SOURCES]
    known = {name: prepare(np.asarray(case.features.blocks[name])[rows]) for name in names}
    return [
        evidence(
            CKA,
            Subject(first, second, "selection"),
            Measured(debiased_cka(known[first], known[second]), len(rows), method=METHOD),
            {"widths": [known[name].block.shape[1] for name in (first, second)]},
        )
        for first, second in combinations(names, 2)
    ]
