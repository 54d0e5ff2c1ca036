"""Sources before anything is trained: which one, which pair, and whether a second one is worth it at all.

The headline is a ridge head judged out of fold; scores stand beside it. What is claimed of pairs is claimed of a
procedure: in every fold the pair and the single are chosen on the other folds, so choosing flatters neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from transfuse import registry
from transfuse.evaluation.agreement import rank_rows
from transfuse.evaluation.case import MarginRule
from transfuse.evaluation.claims import power_of, status
from transfuse.evaluation.material import SHELF, Material, together, value
from transfuse.evaluation.probes.lattice import MOST_SOURCES, Names, logme_of_sets, subsets
from transfuse.evaluation.probes.ridge import Answer, Heads
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, figures, mean_of_items
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.evaluation.words import digits
from transfuse.figures import roughly
from transfuse.types import Claim, Cost, Evidence, ItemTable, Recommendation, Status, Undefined, Verdict

SPLIT, RUN = "apart", ("out of fold",)
LOSS = Quantity("probe_log_loss", "nats", "lower", 0.0)
RIGHT = Quantity("probe_accuracy", "share", "higher", 0.0, 1.0)
# Differences have no least or greatest value.
LESS = Quantity(LOSS.name, LOSS.unit, LOSS.direction)
MORE = Quantity(RIGHT.name, RIGHT.unit, RIGHT.direction)
BEST_SINGLE, BEST_PAIR = "best single", "best pair"
# Up to so many sources every set is probed; beyond, single ones and pairs.
PROBED_WHOLE = 5
NARROW = 512
CHOSEN_APART = "chosen in each fold on the other folds; these trained heads, one dealing into folds"


@dataclass(frozen=True, eq=False)
class Sources:
    """What is looked at: materials of all sources on the same rows, their items, what each costs to run."""

    materials: Mapping[str, Material]
    items: ItemTable
    costs: Mapping[str, Cost] = field(default_factory=dict)
    margin: MarginRule = field(default_factory=MarginRule)
    every_score: bool = False

    @cached_property
    def names(self) -> list[str]:
        return sorted(self.materials)

    @cached_property
    def heads(self) -> Heads:
        first = self.materials[self.names[0]]
        blocks = {name: self.materials[name].features for name in self.names}
        return Heads(blocks, np.asarray(first.targets), first.classes, np.asarray(first.folds))

    @cached_property
    def answers(self) -> Mapping[Names, Answer]:
        """The head on the empty set, on every source, every pair, and (few sources) every larger set."""
        largest = len(self.names) if len(self.names) <= PROBED_WHOLE else 2
        return self.heads.answers([(), *subsets(self.names, largest)])

    def loss(self, names: Names) -> float:
        return float(self.answers[names].losses.mean())

    def flops(self, names: Names) -> float:
        return sum(self.costs[name].inference_flops if name in self.costs else 0.0 for name in names)

    @property
    def groups(self) -> tuple[str, ...] | None:
        return self.items.groups

    def best(self, size: int) -> Names:
        """The set of that size with the lowest loss; of equal ones the first by name."""
        return min((each for each in self.answers if len(each) == size), key=lambda each: (self.loss(each), each))

    def chosen(self, size: int) -> tuple[np.ndarray, np.ndarray, list[Names]]:
        """Losses and right answers [N] of the procedure that takes in each fold the set which did best on the others;
        and what it took."""
        options = [each for each in self.answers if len(each) == size]
        losses, right = np.empty(len(self.items)), np.empty(len(self.items))
        taken = []
        for fold, rows in enumerate(self.heads.rows):
            pick = min(options, key=lambda each: (float(self.answers[each].inner[fold]), each))
            losses[rows], right[rows] = self.answers[pick].losses[rows], self.answers[pick].right[rows]
            taken.append(pick)
        return losses, right, taken


@dataclass(frozen=True)
class Appraisal:
    """The verdict and the rows it rests on; `ties` are groups of sources that are not shown to differ, best first."""

    verdict: Verdict
    rows: tuple[Evidence, ...]
    ties: tuple[Names, ...]
    margin: float


def appraise(sources: Sources) -> Appraisal:
    """Everything that is asked of sources before fusing. One source is probed, and nothing is compared."""
    rows = [*_levels(sources), *_scores(sources)]
    ties = tie_groups(sources)
    rows += _behind(sources)
    margin = sources.margin.value("log_loss", sources.loss(sources.best(1)))
    claims: list[Claim] = []
    if len(sources.names) > 1:
        second = _second(sources, margin)
        rows += second
        claims = [_claim(row) for row in second]
        rows += rank_rows(sources.names, _said(sources, rows), {name: sources.loss((name,)) for name in sources.names})
    verdict = Verdict(_recommended(sources, ties, margin, claims), tuple(claims), ())
    return Appraisal(verdict, tuple(rows), tuple(ties), margin)


def named(names: Names) -> str:
    """A set's name as an arm."""
    return "+".join(names)


def _levels(sources: Sources) -> list[Evidence]:
    """Log-loss and accuracy of the head on each set, with intervals over items (or groups)."""
    rows = []
    for names, answer in sources.answers.items():
        subject = Subject(named(names) or "class frequencies", None, SPLIT)
        about = {"of": list(names), "exact": sources.heads.exact}
        if names:
            about["penalties"] = figures(answer.penalties)
        for quantity, column in ((LOSS, answer.losses), (RIGHT, answer.right)):
            found = mean_of_items(column[None], RUN, sources.groups, "ridge head out of fold")
            rows.append(evidence(quantity, subject, found, about))
    return rows


def _scores(sources: Sources) -> list[Evidence]:
    """Every score of the shelf but the probe itself, of each source; LogME of all sets, and E-LEEP of each pair."""
    rows = []
    entries = sorted(registry.shelf(SHELF).values(), key=lambda entry: (entry.order, entry.name))
    for entry in entries:
        if entry.name == "probe" or not (sources.every_score or entry.traits["default"]):
            continue
        quantity = Quantity(f"score_{entry.name}", str(entry.traits["unit"]), "higher")
        for name in sources.names:
            found = value(entry.name, sources.materials[name])
            rows.append(
                evidence(quantity, Subject(name, None, SPLIT), Measured(found, len(sources.items), method=entry.law))
            )
    return rows + _joint(sources)


def _joint(sources: Sources) -> list[Evidence]:
    """Scores of sets of two and more."""
    rows, count = [], len(sources.items)
    if not 2 <= len(sources.names) <= MOST_SOURCES:
        return rows
    first = sources.materials[sources.names[0]]
    sets = [each for each in subsets(sources.names) if len(each) > 1]
    widest = {} if len(sources.names) <= PROBED_WHOLE else {"widest": NARROW}
    blocks = {name: sources.materials[name].features for name in sources.names}
    logme, exact = logme_of_sets(blocks, np.asarray(first.targets), first.classes, sets, **widest)
    unit = str(registry.find(SHELF, "logme").traits["unit"])
    how = "of the features side by side; it grows with columns" + (
        "" if exact else "; approximate: principal components"
    )
    for names in sets:
        found = Measured(logme[names], count, method=how)
        about = {"of": list(names), "exact": exact}
        rows.append(evidence(Quantity("score_logme", unit, "higher"), Subject(named(names), None, SPLIT), found, about))
    for names in combinations(sources.names, 2):
        joint = Measured(together("e_leep", [sources.materials[name] for name in names]), count)
        about = {"of": list(names)}
        rows.append(
            evidence(Quantity("score_e_leep", "nats", "higher"), Subject(named(names), None, SPLIT), joint, about)
        )
    return rows


def _difference(sources: Sources, first: np.ndarray, second: np.ndarray) -> Interval | Undefined:
    return moments((first - second)[None], sources.groups)


def tie_groups(sources: Sources) -> list[Names]:
    """Sources in groups, best first: a group holds its best source and all that are not shown worse than it.

    Shown worse: the 95 % interval of the paired difference in log-loss lies above 0.
    """
    left = sorted(sources.names, key=lambda name: (sources.loss((name,)), name))
    groups = []
    while left:
        best = sources.answers[(left[0],)].losses
        group = [left[0]]
        for name in left[1:]:
            found = _difference(sources, sources.answers[(name,)].losses, best)
            if not (isinstance(found, Interval) and found.low > 0):
                group.append(name)
        groups.append(tuple(group))
        left = [name for name in left if name not in group]
    return groups


def _behind(sources: Sources) -> list[Evidence]:
    """How far each source, and each pair, is from the best single source; chosen in hindsight, so a description."""
    best = sources.best(1)
    rows = []
    for names, answer in sources.answers.items():
        if names and names != best and len(names) <= 2:
            found = mean_of_items((answer.losses - sources.answers[best].losses)[None], RUN, sources.groups)
            subject = Subject(named(names), named(best), SPLIT)
            rows.append(evidence(LESS, subject, found, {"of": list(names), "hindsight": True}))
    return rows


def _second(sources: Sources, margin: float) -> list[Evidence]:
    """The best pair against the best single, each chosen in every fold on the others; in log-loss, and in accuracy."""
    one, two = sources.chosen(1), sources.chosen(2)
    accuracy_margin = MarginRule().value("accuracy", float(one[1].mean()))
    about = {
        "took": [{"single": named(first), "pair": named(second)} for first, second in zip(one[2], two[2], strict=True)]
    }
    rows = []
    sides = ((LESS, two[0], one[0], margin), (MORE, two[1], one[1], accuracy_margin))
    for quantity, pair, single, least in sides:
        difference = pair - single
        found = _difference(sources, pair, single)
        word: Status = "not shown"
        more: dict[str, Any] = {}
        if isinstance(found, Interval):
            word = status(found.low, found.high, found.low90, found.high90, least, quantity.direction)
            more = power_of(found, least)
        measured = mean_of_items(difference[None], RUN, sources.groups, CHOSEN_APART)
        told = about | {"margin": least, "status": word} | more
        rows.append(evidence(quantity, Subject(BEST_PAIR, BEST_SINGLE, SPLIT), measured, told))
    return rows


def _claim(row: Evidence) -> Claim:
    return Claim(row.arm, row.versus or "", row.quantity, row.provenance["status"], (row.id,), _sentence(row))


def _sentence(row: Evidence) -> str:
    """What the comparison says, in words."""
    if isinstance(row.value, Undefined) or row.low is None or row.high is None:
        return "the difference has no interval, so nothing is shown."
    word, margin = row.provenance["status"], digits(row.provenance["margin"], row.unit)
    unit = "points" if row.unit == "share" else row.unit
    shown = {
        "better": f"a second model is worth it: shown better by more than the margin of {margin} {unit}",
        "worse": f"a second model does harm: shown worse by more than the margin of {margin} {unit}",
        "equivalent": f"a second model changes nothing that matters: equivalent within {margin} {unit}",
        "not shown": f"not shown: these rows cannot tell whether a second model gains more than {margin} {unit}",
    }[word]
    effect = digits(row.value, row.unit, signed=True)
    ends = f"{digits(row.low, row.unit, signed=True)} to {digits(row.high, row.unit, signed=True)}"
    settle = row.provenance.get("settling_items")
    more = f" About {roughly(settle):,} rows would settle it." if word == "not shown" and settle else ""
    return f"{shown}. The difference is {effect} {unit} ({row.direction} is better), 95 % interval {ends}.{more}"


def _recommended(sources: Sources, ties: Sequence[Names], margin: float, claims: Sequence[Claim]) -> Recommendation:
    """The pair where a second model is shown to be worth it; else the cheapest source among those that are as good as
    the best: within the margin, and not shown worse."""
    best, single = sources.best(1), sources.loss(sources.best(1))
    if claims and claims[0].status == "better":
        pair = sources.best(2)
        why = (
            f"Of all pairs it has the lowest log-loss, {sources.loss(pair):.4f} nats; {best[0]} alone has {single:.4f}."
        )
        return Recommendation(named(pair), "fused", why)
    alike = [name for name in ties[0] if sources.loss((name,)) <= single + margin]
    pick = min(alike, key=lambda name: (sources.flops((name,)), name))
    if pick == best[0]:
        why = f"It has the lowest log-loss of a head on its frozen features, {single:.4f} nats."
    else:
        why = (
            f"It costs least to run of the sources that are as good as the best: {sources.loss((pick,)):.4f} nats, and"
            f" {best[0]} {single:.4f}; within the margin of {margin:.4f}, and not shown worse."
        )
    return Recommendation(pick, "single", why)


def _said(sources: Sources, rows: Sequence[Evidence]) -> dict[str, dict[str, float | Undefined]]:
    """What each score says of each source, by the score's name."""
    found: dict[str, dict[str, float | Undefined]] = {}
    for row in rows:
        if row.quantity.startswith("score_") and row.arm in sources.names and row.versus is None:
            found.setdefault(row.quantity.removeprefix("score_"), {})[row.arm] = row.value
    return found
