"""Would the fusion be better without a source? Without it a source that does harm rides along unseen."""

from __future__ import annotations

from collections.abc import Mapping

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import item_metric
from transfuse.evaluation.harm import Screen, named_parts, shown_worse_parts
from transfuse.evaluation.measure import compare
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.questions.harm import class_parts
from transfuse.evaluation.recommend import shown_worse
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.words import apart, named
from transfuse.types import Evidence, Flag

ORDER = 36
CITATION = "Wang et al., Characterizing and avoiding negative transfer, CVPR 2019"
WITHOUT, RANDOM = "without/", "random/"
NAME, BY_CLASS = "negative_transfer", "negative_transfer_class"


def ask(case: Case) -> list[Evidence]:
    """The winner minus the same fusion refitted without one source, for each source, in the primary metric; and by
    class where there are classes. A loss that is higher with the source than without it is negative transfer.
    """
    metric, fine = find_metric(case.task.metric), item_metric(case)
    rows = []
    for name in _refits(case):
        subject, source = Subject(case.winner, name, case.split), name.removeprefix(WITHOUT)
        first, second = case.tables[case.winner], case.tables[name]
        found = Measured.of(compare(first, second, metric))
        quantity = Quantity.difference(NAME, metric)
        rows.append(evidence(quantity, subject, found, {"source": source, "metric": metric.name}))
        parts = class_parts(case, first)
        if fine is not None and len(parts) > 1:
            screen = Screen(BY_CLASS, subject, "class", fine, case.margin_of(fine.name))
            rows += screen.rows(first, second, parts)
    return rows


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """Each source with which the winner is shown worse than without it, those that do so on single classes, and those
    that had better learned nothing: shown worse, by more than the margin, than the same fusion with a random branch.
    """
    found = _unlearned(case, rows)
    for row in rows.values():
        if row.quantity == NAME and shown_worse(row):
            why = (
                f"{row.provenance['source']} does harm: {case.winner} is shown worse with it than refitted without it"
                f": its {named(row.provenance['metric'])} {apart(row)}."
            )
            found.append(Flag("negative_transfer", why, (row.id,)))
    for name in _refits(case):
        worse = [row for row in shown_worse_parts(rows, BY_CLASS) if row.versus == name]
        if worse:
            noun = "class" if len(worse) == 1 else "classes"
            why = (
                f"{name.removeprefix(WITHOUT)} does harm on some classes: {case.winner} is shown worse with it than"
                f" without it, by more than the margin, on {noun} {named_parts(worse, 'class')}."
            )
            found.append(Flag("negative_transfer", why, tuple(row.id for row in worse)))
    return found


def _unlearned(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    found = []
    for row in rows.values():
        source = (row.versus or "").removeprefix(RANDOM)
        claimed = row.arm == case.winner and row.versus == RANDOM + source and row.quantity == case.task.metric
        if claimed and row.provenance.get("status") == "worse":
            why = (
                f"What {source} had learned does harm: {case.winner} is shown worse with it than with the same network"
                f" untrained: its {named(row.quantity)} {apart(row)}."
            )
            found.append(Flag("negative_transfer", why, (row.id,)))
    return found


def _refits(case: Case) -> list[str]:
    return sorted(name for name in case.tables if name.startswith(WITHOUT) and name != case.winner)
