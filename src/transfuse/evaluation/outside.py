"""Telling items of another kind apart: without it a sure answer to a wrong question would pass for knowledge.

Inside items are the positive class throughout, and a higher score means more inside. Every measure comes with item
values of both sides whose means are the measure itself and whose spread is its uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import logsumexp, stdtr, stdtrit

from transfuse.errors import UserError
from transfuse.evaluation.rows import Measured, by_run
from transfuse.evaluation.statistics.rank import TwoSided
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.evaluation.tables import Table
from transfuse.kinds import LEAST_PROBABILITY

TPR = 0.95
SLOPE_REACH = 0.025


Measure = Callable[[np.ndarray, np.ndarray], TwoSided]


def false_positive_rate(inside: np.ndarray, outside: np.ndarray) -> TwoSided:
    """Share of outside items at or above the highest threshold that at least 95 % of inside items reach.

    The threshold is uncertain too: an inside item moves it along the curve, with the slope of the false positive rate
    over inside shares of 95 % ± 2.5 points.
    """

    def threshold(share: float) -> float:
        return float(np.sort(inside)[::-1][min(len(inside), int(np.ceil(share * len(inside) - 1e-9))) - 1])

    def rate(share: float) -> float:
        return float((outside >= threshold(share)).mean())

    limit, value = threshold(TPR), rate(TPR)
    slope = (rate(TPR + SLOPE_REACH) - rate(TPR - SLOPE_REACH)) / (2 * SLOPE_REACH)
    reached = (inside >= limit).astype(np.float64)
    return TwoSided(value, -slope * (reached - reached.mean()), (outside >= limit) - value)


def average_precision(positive: np.ndarray, negative: np.ndarray) -> TwoSided:
    """Σ (recall step) · precision over thresholds from the highest down: the mean precision at each positive's score.

    P(t) = m G₁ / (m G₁ + n G₀) with G the shares at or above t. An item adds its own precision, and moves the precision
    at all scores below its own.
    """
    first, second = np.sort(positive), np.sort(negative)
    m, n = len(first), len(second)
    true = m - np.searchsorted(first, positive, "left")
    false = n - np.searchsorted(second, positive, "left")
    precision = true / (true + false)
    value = float(precision.mean())
    gain, loss = m * false / (true + false) ** 2, n * true / (true + false) ** 2
    order = np.argsort(positive, kind="stable")

    def below(weights: np.ndarray, scores: np.ndarray) -> np.ndarray:
        summed = np.concatenate([[0.0], np.cumsum(weights[order])]) / m
        return summed[np.searchsorted(first, scores, "right")]

    own = precision - value + below(gain, positive) - float((gain * true).mean()) / m
    other = float((loss * false).mean()) / n - below(loss, negative)
    return TwoSided(value, own, other)


def average_precision_outside(inside: np.ndarray, outside: np.ndarray) -> TwoSided:
    """Average precision with the outside items as the positive class, lowest scores first."""
    found = average_precision(-outside, -inside)
    return TwoSided(found.value, found.outside, found.inside)


def measured(
    measure: Measure,
    inside: np.ndarray,
    outside: np.ndarray,
    runs: Sequence[str],
    groups: Sequence[str] | None = None,
) -> Measured:
    """A measure's mean over runs with the interval of `crossed`. Scores [k, m] and [k, n]."""
    if not (inside.shape[1] and outside.shape[1]):
        raise UserError("telling inside from outside needs items of both kinds")
    return crossed([measure(ours, theirs) for ours, theirs in zip(inside, outside, strict=True)], runs, groups)


def crossed(found: Sequence[TwoSided], runs: Sequence[str], groups: Sequence[str] | None = None) -> Measured:
    """The mean over runs with a t interval over runs, inside and outside items, all crossed.

    var = s_run² / k + s_in² / m + s_out² / n with item influences averaged over runs; Satterthwaite's degrees of
    freedom. With groups of inside items, their influences are summed within groups. For one run of `auroc` this is
    DeLong's variance, and for the difference of two arms DeLong's paired one.
    """
    values = np.array([each.value for each in found])
    per_run = by_run(runs, values)
    parts = [
        _part(np.mean([each.inside for each in found], axis=0), groups),
        _part(np.mean([each.outside for each in found], axis=0), None),
        (float(values.var(ddof=1)) / len(values), len(values) - 1) if len(values) > 1 else (0.0, 1),
    ]
    variance, value = sum(part for part, _ in parts), float(values.mean())
    items = len(found[0].inside)
    if variance <= 0.0:
        return Measured(value, items, method="no interval: all items on either side fare alike", per_run=per_run)
    df = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    half = float(stdtrit(df, 0.975)) * variance**0.5
    p = float(min(1.0, 2.0 * stdtr(df, -abs(value) / variance**0.5)))
    method = "t interval over runs, inside and outside items; inside is the positive class"
    return Measured(value, items, value - half, value + half, p, method, per_run)


def _part(influence: np.ndarray, groups: Sequence[str] | None) -> tuple[float, int]:
    """The variance that items add, and its degrees of freedom; none where all have the same influence."""
    found = moments(influence[None], groups)
    return (found.item_variance, found.units - 1) if isinstance(found, Interval) else (0.0, 1)


def scores(table: Table, *, labels: bool = False) -> dict[str, np.ndarray]:
    """How much each item looks like inside, by score, [k, N] each.

    `max_probability` and negative `entropy` after the temperature; from the logits before it, where there are any,
    `energy` = log Σ exp (its negative is the energy of Liu et al., 2020) and `max_logit`. Of labels no entropy, and
    `joint_energy` = Σ_c log(1 + exp f_c) in place of the energy (Wang et al., 2021).
    """
    probs = table.probs
    found = {"max_probability": probs.max(axis=2)}
    if not labels:
        found["entropy"] = (probs * np.log(np.maximum(probs, LEAST_PROBABILITY))).sum(axis=2)
    if table.logits is not None:
        energy = np.logaddexp(0.0, table.logits).sum(axis=2) if labels else logsumexp(table.logits, axis=2)
        found["joint_energy" if labels else "energy"] = np.asarray(energy)
        found["max_logit"] = table.logits.max(axis=2)
    return found
