"""Is anybody worse off? Without it a fusion could buy its mean with one class or one group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transfuse.evaluation.answers import right
from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import answers, chief, class_name, classifies, item_metric, judges_columns, told
from transfuse.evaluation.harm import Part, Screen, named_parts, parts_of, shown_worse_parts, worse_overall
from transfuse.evaluation.measure import Estimate
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.metrics import worst_class
from transfuse.evaluation.rows import Measured, Quantity, Subject, by_run, evidence
from transfuse.evaluation.statistics.bootstrap import crossed_bootstrap
from transfuse.evaluation.statistics.resample import group_codes
from transfuse.evaluation.tables import Table, pair
from transfuse.evaluation.words import named
from transfuse.kinds import kind_of
from transfuse.types import Evidence, Flag, checked

ORDER = 32
CITATION = "Benjamini, Hochberg, JRSS B, 1995; Sagawa et al., ICLR 2020 (worst group)"
WORST = Quantity("worst_group", "share", "higher", 0.0, 1.0)
SCREENS = {
    "class": "class_difference",
    "group": "group_difference",
    "label": "label_difference",
    "target": "target_difference",
}
GUARDS = {"class": "worst_class", "group": "worst_group"}


def ask(case: Case) -> list[Evidence]:
    """The winner against the best single on every class and every group with at least 10 items (the 100 largest), in
    the primary metric where it is a mean over items; and the accuracy on the worst group, with its difference.
    """
    metric = item_metric(case)
    if case.winner == case.best_single or metric is None:
        return []
    first, second = case.tables[case.winner], case.tables[case.best_single]
    subject = Subject(case.winner, case.best_single, case.split)
    rows = []
    for key, parts in (("class", class_parts(case, first)), ("group", _group_parts(first))):
        screen = Screen(SCREENS[key], subject, key, metric, case.margin_of(metric.name))
        rows += screen.rows(first, second, parts) if len(parts) > 1 else []
    rows += _by_column(case, first, second, subject)
    parts = _group_parts(first)
    return rows + (_worst_groups(case, parts) if len(parts) > 1 and answers(case) else [])


def silent(case: Case) -> dict[str, str]:
    """Numbers have a difference in every group, and no accuracy on the worst."""
    why = "numbers are neither right nor wrong; the difference in every group is told in the deciding measure"
    return told(case, "accuracy on the worst group", numbers=why) if case.items.groups is not None else {}


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """Classes or groups shown worse by more than the margin, where no guard of its own looks after them.

    None where the winner is shown worse on the whole: that says it already.
    """
    if worse_overall(case, rows, case.winner) is not None:
        return []
    found = []
    for key, quantity in SCREENS.items():
        worse = shown_worse_parts(rows, quantity) if GUARDS.get(key) not in case.guards else []
        if worse:
            why = (
                f"{case.winner} is shown worse than {case.best_single} by more than the margin in"
                f" {named(worse[0].provenance['metric'])} on {named_parts(worse, key)}"
                f" (by {key}, after correction over {worse[0].family})."
            )
            found.append(Flag("harm", why, tuple(row.id for row in worse)))
    return found


def _by_column(case: Case, first: Table, second: Table, subject: Subject) -> list[Evidence]:
    """The difference on every label, or target, by the loss of the task's kind; its own margin for each is the whole's.

    None where there is one column only: that is the comparison itself.
    """
    count = first.probs.shape[2]
    if not judges_columns(case) or count < 2:
        return []
    key = kind_of(case.task.kind).column
    names = [class_name(case, number) for number in range(count)]
    metric = find_metric(kind_of(case.task.kind).metric)
    screen = Screen(SCREENS[key], subject, key, metric, case.margin_of(metric.name))
    return screen.of_columns(first, second, names)


def class_parts(case: Case, table: Table) -> list[Part]:
    """The classes of classified items; none where there are no classes."""
    if not classifies(case):
        return []
    names = [class_name(case, number) for number in range(table.probs.shape[2])]
    return parts_of(np.asarray(table.items.targets), names, grouped=True)


def _group_parts(table: Table) -> list[Part]:
    groups = table.items.groups
    if groups is None:
        return []
    return parts_of(group_codes(groups), sorted(set(groups)), grouped=False)


def _worst_groups(case: Case, parts: list[Part]) -> list[Evidence]:
    """Accuracy on the group that is served worst, by arm, and the winner's difference to the best single."""
    rows = []
    for arm in chief(case):
        found = _lowest(case.tables[case.winner], case.tables[arm], parts)
        rows.append(evidence(WORST, Subject(arm, None, case.split), Measured.of(found[0]), {"group": found[1]}))
    subject = Subject(case.winner, case.best_single, case.split)
    both = _lowest(case.tables[case.winner], case.tables[case.best_single], parts, difference=True)
    rows.append(evidence(Quantity("worst_group", "share", "higher"), subject, Measured.of(both[0])))
    return rows


def _lowest(first: Table, second: Table, parts: list[Part], *, difference: bool = False) -> tuple[Estimate, str]:
    """The worst group's accuracy of `second`, or first − second, on the same parts of items; and its name."""
    both = pair(first, second)
    targets, inside = np.asarray(both.items.targets), np.concatenate([part.rows for part in parts])
    code = np.concatenate([np.full(len(part.rows), number) for number, part in enumerate(parts)])

    def columns(probs: np.ndarray) -> np.ndarray:
        hits = right(probs[:, inside], targets[inside])
        member = np.eye(len(parts))[code]
        return np.concatenate([hits[..., None] * member, np.broadcast_to(member, (len(probs), *member.shape))], axis=2)

    one, other = columns(both.first), columns(both.second)
    own = worst_class.finish(other.sum(axis=1))
    values = worst_class.finish(one.sum(axis=1)) - own if difference else own
    interval = crossed_bootstrap(one if difference else other, worst_class.finish, other if difference else None)
    sums = other.sum(axis=(0, 1))
    worst = parts[int(np.argmin(sums[: len(parts)] / sums[len(parts) :]))].name
    value = checked(float(values.mean()), "no group has an item")
    return Estimate(value, interval, by_run(both.runs, values), len(inside), "biased downwards on few items"), worst
