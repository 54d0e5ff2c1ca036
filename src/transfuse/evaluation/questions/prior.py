"""Does what ships know more than how frequent the answers are? Without it labels without meaning would make a model."""

from __future__ import annotations

from collections.abc import Mapping

from transfuse.evaluation.case import PRIOR, Case
from transfuse.evaluation.claims import comparison_rows
from transfuse.evaluation.recommend import choose, shown_better
from transfuse.evaluation.words import ends, named
from transfuse.types import CLEAN, Evidence, Flag

ORDER = 27
FREQUENCIES = {"multiclass": "the class frequencies", "multilabel": "the label frequencies"}
MEAN = "the mean of the training rows"


def ask(case: Case) -> list[Evidence]:
    """What ships against the prior, in the primary metric, where the prior is judged and nobody compared them."""
    couple = (choose(case).arm.name, PRIOR)
    if PRIOR not in case.tables or couple in case.comparisons:
        return []
    return comparison_rows(case, [couple], case.task.metric, corrected=False)


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """`no_better_than_prior` where no gain over the prior is shown, however small: a margin is no matter here."""
    couple, metric = (choose(case).arm.name, PRIOR), case.task.metric
    found = (row for row in rows.values() if (row.arm, row.versus, row.quantity) == (*couple, metric))
    return [
        _flag(case, row) for row in found if row.condition == CLEAN and row.low is not None and not shown_better(row)
    ]


def _flag(case: Case, row: Evidence) -> Flag:
    why = (
        f"{row.arm} is not shown better than answering every item with {FREQUENCIES.get(case.task.kind, MEAN)}: its"
        f" {named(row.quantity)} differs by {ends(row)} ({row.direction} is better). Perhaps the labels have nothing"
        " to do with the items, or the rows are too few to learn from or to judge by."
    )
    return Flag("no_better_than_prior", why, (row.id,))
