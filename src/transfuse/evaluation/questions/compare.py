"""Is one arm better than another, by more than matters? The question all others are beside."""

from __future__ import annotations

from transfuse.evaluation.case import Case
from transfuse.evaluation.claims import comparison_rows
from transfuse.types import Evidence

ORDER = 20


def ask(case: Case) -> list[Evidence]:
    """Paired differences arm − versus of each comparison, for the primary and the other metrics.

    `provenance` holds margin, status, 90 % interval, detectable effect, what would settle it, and the value of each
    run.
    """
    return [row for metric in case.metrics for row in comparison_rows(case, case.comparisons, metric, case.corrected)]
