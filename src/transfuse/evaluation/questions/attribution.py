"""What does each source bring? Without it a source that only repeats another would pass for half of the gain."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from transfuse.evaluation.apart import at_most
from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import classifies, told
from transfuse.evaluation.probes.lattice import MOST_SOURCES, logme_of_sets, subsets
from transfuse.evaluation.probes.ridge import PENALTIES, WIDEST, Answer, Heads
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, figures
from transfuse.evaluation.statistics.attribution import (
    interaction_weights,
    interval_of_means,
    members,
    permutations,
    shapley_weights,
)
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.types import Evidence, Features, Undefined

ORDER = 38
CITATION = "Shapley, 1953; Grabisch, Roubens, International Journal of Game Theory, 1999"
SHAPLEY = Quantity("shapley", "nats", "higher")
INTERACTION = Quantity("shapley_interaction", "nats", "higher")
TOGETHER = Quantity("ridge_gain", "nats", "higher")
ALL = "all sources"
MOST_ROWS = 2048
# Up to so many sources each set has its own penalty; beyond, one for all, and fewer columns and rows.
FEW, NARROW, FEWER_ROWS, ONE_PENALTY, PAIRS = 5, 512, 1024, 1e-3, 16
SAID = "of a ridge head on frozen features, out of fold: not of the winner, which `without/…` refits"


def ask(case: Case) -> list[Evidence]:
    """Of a ridge head on any set of the sources, on rows apart from the judged ones: the Shapley value of each source
    (its share of the gain in log-loss over class frequencies; the shares add up to the gain), the interaction of each
    pair (above 0: they complete each other), and in the provenance of the whole gain the log-loss of every set.

    Above ten sources shares come from sampled orders, without interactions.
    """
    if case.features is None or len(case.features.blocks) < 2 or not classifies(case):
        return []
    few = len(case.features.blocks) <= FEW
    features = at_most(case.features, MOST_ROWS if few else FEWER_ROWS, "attribution")
    if len(np.unique(features.folds)) < 3:
        reason = "the rows apart from the judged ones make fewer than three folds"
        return [evidence(TOGETHER, Subject(ALL, None, "selection"), Measured.not_there(reason, len(features.items)))]
    names = sorted(features.blocks)
    heads = Heads(
        {name: np.asarray(features.blocks[name]) for name in names},
        np.asarray(features.items.targets),
        max(len(case.task.classes), int(features.items.targets.max()) + 1),
        features.folds,
        widest=WIDEST if few else NARROW,
    )
    penalties = PENALTIES if few else (ONE_PENALTY,)
    if len(names) > MOST_SOURCES:
        return _sampled(heads, names, features, penalties)
    return _exact(heads, names, features, penalties)


def silent(case: Case) -> dict[str, str]:
    """The ridge head answers classes."""
    why = "the plain head whose gain is shared out answers classes that exclude each other; without/… refits are asked"
    known = case.features is not None and len(case.features.blocks) > 1
    return told(case, "shares of the gain by source (Shapley)", labels=why, numbers=why) if known else {}


def _exact(heads: Heads, names: list[str], features: Features, penalties: tuple[float, ...]) -> list[Evidence]:
    numbered = [members(number, names) for number in range(1 << len(names))]
    answers = heads.answers(numbered, penalties)
    game = -np.stack([answers[each].losses for each in numbered], axis=1)
    groups, about = features.items.groups, _about(heads, penalties)
    kinds = ((SHAPLEY, shapley_weights(len(names))), (INTERACTION, interaction_weights(len(names))))
    subjects = ([(name, None) for name in names], list(combinations(names, 2)))
    rows = [_whole(game[:, -1] - game[:, 0], features, about | {"sets": _sets(heads, answers, features)})]
    for (quantity, weights), couples in zip(kinds, subjects, strict=True):
        shares = game @ weights.T
        low, high = interval_of_means(shares, groups)
        for place, (first, second) in enumerate(couples):
            found = Measured(
                float(shares[:, place].mean()), len(game), float(low[place]), float(high[place]), method=_method(groups)
            )
            rows.append(evidence(quantity, Subject(first, second, "selection"), found, about))
    return rows


def _sampled(heads: Heads, names: list[str], features: Features, penalties: tuple[float, ...]) -> list[Evidence]:
    """Shares from orders in which sources join; an interval over orders and items, crossed."""
    orders = permutations(len(names), PAIRS)
    paths = [
        [tuple(sorted(names[each] for each in order[:size])) for size in range(len(names) + 1)] for order in orders
    ]
    answers = heads.answers([each for path in paths for each in path], penalties)
    shares = np.zeros((len(orders), len(features.items), len(names)))
    for place, (order, path) in enumerate(zip(orders, paths, strict=True)):
        for step, source in enumerate(order):
            shares[place, :, source] = answers[path[step]].losses - answers[path[step + 1]].losses
    both = shares.reshape(PAIRS, 2, *shares.shape[1:]).mean(axis=1)
    about = _about(heads, penalties) | {"orders": len(orders)}
    gain = answers[()].losses - answers[tuple(names)].losses
    rows = [_whole(gain, features, about)]
    for place, name in enumerate(names):
        known = moments(both[:, :, place], features.items.groups)
        ends = (known.low, known.high) if isinstance(known, Interval) else (None, None)
        method = f"{SAID}; {len(orders)} sampled orders, {_interval(known)}"
        found = Measured(float(both[:, :, place].mean()), len(gain), *ends, method=method)
        rows.append(evidence(SHAPLEY, Subject(name, None, "selection"), found, about))
    return rows


def _interval(known: Interval | Undefined) -> str:
    return f"no interval: {known.reason}" if isinstance(known, Undefined) else known.method.replace("runs", "orders")


def _whole(gain: np.ndarray, features: Features, about: Mapping[str, Any]) -> Evidence:
    low, high = interval_of_means(gain[:, None], features.items.groups)
    ends = (float(low[0]), float(high[0]))
    method = f"{_method(features.items.groups)}; over class frequencies"
    found = Measured(float(gain.mean()), len(gain), *ends, method=method)
    return evidence(TOGETHER, Subject(ALL, None, "selection"), found, about)


def _sets(heads: Heads, answers: Mapping[tuple[str, ...], Answer], features: Features) -> list[dict[str, Any]]:
    """Every set of sources with its log-loss, accuracy and LogME, the smallest sets first."""
    named = subsets(heads.parts)
    logme, _ = logme_of_sets(heads.parts, np.asarray(features.items.targets), heads.classes, named)
    found = []
    for names in [(), *named]:
        loss, right = figures([answers[names].losses.mean(), answers[names].right.mean()], 6)
        known = logme.get(names)
        told = {} if known is None or isinstance(known, Undefined) else {"logme": figures([known], 6)[0]}
        found.append({"of": list(names), "log_loss": loss, "accuracy": right, **told})
    return found


def _about(heads: Heads, penalties: tuple[float, ...]) -> dict[str, Any]:
    about: dict[str, Any] = {"head": "ridge", "exact": heads.exact}
    if not heads.exact:
        about["columns"] = {name: part.shape[1] for name, part in heads.parts.items()}
    return about | ({"penalty": penalties[0]} if len(penalties) == 1 else {})


def _method(groups: tuple[str, ...] | None) -> str:
    what = "items" if groups is None else "groups"
    return f"{SAID}; bootstrap over {what}, the whole game on each draw, centred percentiles"
