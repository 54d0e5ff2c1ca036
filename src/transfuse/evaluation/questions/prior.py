"""Does what ships know more than how frequent the answers are? Without it labels without meaning would make a model."""

from __future__ import annotations

from collections.abc import Mapping

from transfuse.evaluation import frequencies
from transfuse.evaluation.case import ELSEWHERE, PRIOR, Case
from transfuse.evaluation.claims import comparison_rows
from transfuse.evaluation.recommend import choose
from transfuse.evaluation.words import apart, named
from transfuse.types import Evidence, Flag

ORDER = 27
FREQUENCIES = {"multiclass": "the class frequencies", "multilabel": "the label frequencies"}
MEAN = "the mean"


def ask(case: Case) -> list[Evidence]:
    """What ships, and the winner, against the prior in the primary metric, where nobody compared them. Predictions from
    elsewhere are held against the frequencies among the judged rows, each fold's from the others."""
    held = frequencies.with_prior(case)
    if held is None:
        return []
    arms = dict.fromkeys((choose(case).arm.name, case.winner))
    couples = [(arm, PRIOR) for arm in arms if (arm, PRIOR) not in case.comparisons]
    return comparison_rows(held, couples, case.task.metric, corrected=False)


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """`no_better_than_prior` where no gain of what ships over the prior is shown, however small."""
    shipped = choose(case).arm.name
    row = frequencies.against(case, rows, shipped)
    return [_flag(case, row)] if row is not None and frequencies.knows_no_more(case, rows, shipped) else []


def _flag(case: Case, row: Evidence) -> Flag:
    where = "judged" if case.protocol == ELSEWHERE else "training"
    why = (
        f"{row.arm} is not shown better than answering every item with {FREQUENCIES.get(case.task.kind, MEAN)} of the"
        f" {where} rows: its {named(row.quantity)} {apart(row)}. Perhaps the"
        " labels have nothing to do with the items, or the rows are too few to learn from or to judge by."
    )
    return Flag("no_better_than_prior", why, (row.id,))
