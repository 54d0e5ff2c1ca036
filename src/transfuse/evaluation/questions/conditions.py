"""What is left on spoilt inputs? Without it a fusion that collapses under noise would ship on its clean figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transfuse.evaluation.answers import right
from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import Joined, answers, answers_labels, classifies, joined, told
from transfuse.evaluation.measure import compare, level
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, smooth
from transfuse.evaluation.statistics.corruption import condition_parts, corruption_error, relative_corruption_error
from transfuse.types import Evidence, Flag, Undefined

ORDER = 85
CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness, ICLR 2019"
MCE = Quantity("corruption_error", "ratio", "lower", 0.0)
RELATIVE = Quantity("relative_corruption_error", "ratio", "lower")
WORST = Quantity("worst_corruption", "ratio", "lower", 0.0)
COLLAPSE = 2.0


def ask(case: Case) -> list[Evidence]:
    """Levels of each arm under each condition, the winner's difference to the best single there, and for
    classes and labels the mean corruption error (1 is the best single's), the
    same of what is lost against clean inputs, and the condition
    under which an arm errs most often against the best single.
    """
    rows = [row for name, tables in case.conditions.items() for row in _under(case, name)]
    if not answers(case):
        return rows
    return rows + [row for arm in _arms(case) for row in _ratios(case, arm)]


def silent(case: Case) -> dict[str, str]:
    """Numbers have levels under each condition, and no errors whose ratio could be taken."""
    why = "numbers are neither right nor wrong; their levels and differences under each condition are told"
    return told(case, "ratios of errors on spoilt inputs", numbers=why) if case.conditions else {}


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """The winner is shown to err more than twice as often as the best single under some condition."""
    worst = rows.get(Subject(case.winner, case.best_single, case.split).id(WORST.name))
    if worst is None or worst.low is None or worst.low <= COLLAPSE:
        return []
    return [Flag("harm", f"Shown: {worst.provenance['sentence']}", (worst.id,))]


def _metrics(case: Case) -> tuple[str, ...]:
    beside = ["accuracy"] if classifies(case) else ["subset_accuracy"] if answers_labels(case) else []
    return tuple(dict.fromkeys((case.task.metric, *beside)))


def _under(case: Case, name: str) -> list[Evidence]:
    """Levels of every arm, then the winner against the best single."""
    tables, (corruption, strength) = case.conditions[name], condition_parts(name)
    about = {"corruption": corruption, "level": strength}
    rows = []
    for metric in map(find_metric, _metrics(case)):
        quantity = Quantity(metric.name, metric.unit, metric.direction, metric.low, metric.high)
        for arm in sorted(tables):
            found = Measured.of(level(tables[arm], metric))
            rows.append(evidence(quantity, Subject(arm, None, case.split, name), found, about))
        if case.winner != case.best_single and {case.winner, case.best_single} <= set(tables):
            found = Measured.of(compare(tables[case.winner], tables[case.best_single], metric))
            paired = Quantity.difference(metric.name, metric)
            rows.append(evidence(paired, Subject(case.winner, case.best_single, case.split, name), found, about))
    return rows


@dataclass(frozen=True)
class Errors:
    """Errors (arm, reference) of each item under each condition and on clean inputs: `under [k, N, conditions, 2]`."""

    names: tuple[str, ...]
    under: np.ndarray
    clean: np.ndarray
    known: Joined

    def smooth(self, columns: np.ndarray, law: Callable[[np.ndarray], np.ndarray], reason: str) -> Measured:
        """A law of mean errors, columns [k, N, c, 2]."""
        shape = columns.shape[2:]
        return smooth(
            columns.reshape(*columns.shape[:2], -1),
            lambda means: law(means.reshape(*means.shape[:-1], *shape)),
            self.known.runs,
            self.known.items.groups,
            reason,
        )


def _arms(case: Case) -> list[str]:
    """Arms judged under every condition under which the best single was judged too."""
    shared = [set(tables) for tables in case.conditions.values() if case.best_single in tables]
    found = set.intersection(*shared) if shared else set()
    return sorted(found & set(case.tables) - {case.best_single})


def _errors(case: Case, arm: str) -> Errors:
    names = tuple(name for name, tables in sorted(case.conditions.items()) if {arm, case.best_single} <= set(tables))
    sides = [case.tables, *(case.conditions[name] for name in names)]
    known = joined([tables[who] for tables in sides for who in (arm, case.best_single)])
    wrong = np.stack([~right(probs, known.targets) for probs in known.probs], axis=-1).astype(np.float64)
    both = wrong.reshape(*wrong.shape[:2], -1, 2)
    return Errors(names, both[:, :, 1:], both[:, :, :1], known)


def _ratios(case: Case, arm: str) -> list[Evidence]:
    found = _errors(case, arm)
    corruptions = [condition_parts(name)[0] for name in found.names]
    kinds = sorted(set(corruptions))
    by_kind = np.stack([found.under[:, :, _places(corruptions, kind)].mean(axis=2) for kind in kinds], axis=2)
    reference = case.best_single
    never = f"{reference} never errs under one of the corruptions"
    nothing = f"{reference} loses nothing under one of the corruptions"
    mean = found.smooth(by_kind, corruption_error, never)
    lost = found.smooth(np.concatenate([by_kind, found.clean], axis=2), relative_corruption_error, nothing)
    subject, about = Subject(arm, reference, case.split), {"reference": reference, "corruptions": kinds}
    return [
        evidence(MCE, subject, mean.without_p(), about | {"by_corruption": _shares(by_kind, kinds)}),
        evidence(RELATIVE, subject, lost.without_p(), about),
        _worst(case, arm, found, mean),
    ]


def _places(names: Sequence[str], wanted: str) -> list[int]:
    return [place for place, name in enumerate(names) if name == wanted]


def _shares(columns: np.ndarray, names: Sequence[str]) -> dict[str, list[float]]:
    """Mean errors (arm, reference) by name."""
    means = columns.mean(axis=(0, 1))
    return {name: [float(value) for value in means[place]] for place, name in enumerate(names)}


def _worst(case: Case, arm: str, found: Errors, mean: Measured) -> Evidence:
    """The condition with the highest ratio of errors, and what it hides behind the average."""
    subject = Subject(arm, case.best_single, case.split)
    errors = found.under.mean(axis=(0, 1))
    comparable = np.flatnonzero(errors[:, 1] > 0)
    if not len(comparable):
        return evidence(WORST, subject, Measured.not_there(f"{case.best_single} never errs under any condition"))
    place = int(comparable[np.argmax(errors[comparable, 0] / errors[comparable, 1])])
    name, (own, other) = found.names[place], errors[place].tolist()
    ratio = found.smooth(
        found.under[:, :, place : place + 1], corruption_error, f"{case.best_single} never errs under {name} in one run"
    )
    corruption, strength = condition_parts(name)
    told = f"{arm} errs on {100 * own:.1f} % of items under {name}, {case.best_single} on {100 * other:.1f} %"
    if own > COLLAPSE * other and not isinstance(mean.value, Undefined):
        told += f", {own / other:.1f} times as often; the average over corruptions ({mean.value:.2f} times) hides it"
    about = {
        "corruption": corruption,
        "level": strength,
        "condition": name,
        "error": own,
        "reference_error": other,
        "collapsed": own > COLLAPSE * other,
        "sentence": f"{told}.",
    }
    return evidence(WORST, subject, ratio.without_p(), about)
