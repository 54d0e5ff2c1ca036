"""One temperature per arm and run: without it log-loss would compare how boldly arms speak, not what they know.

A temperature T turns scores z into softmax(z / T), of a multilabel task into sigmoid(z / T) of each label. It is fitted
on rows apart from the judged ones, or cross-fitted. The numbers of a regression have none: theirs stays 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_softmax, logit

from transfuse import seeds
from transfuse.errors import UserError
from transfuse.kinds import LEAST_PROBABILITY
from transfuse.types import Scale, TaskKind

BOUNDS = (1 / 20, 20.0)


def as_logits(scores: np.ndarray, scale: Scale, kind: TaskKind = "multiclass") -> np.ndarray:
    """Scores as float64 logits [N, C]; probabilities become logs, floored at 1e-15, or logits of each label.

    A regression's values stay what they are. Raises: `UserError` for another scale than the kind has, for scores that
    are not finite or not [N, C], and for probabilities outside [0, 1].
    """
    values = np.asarray(scores, dtype=np.float64)
    if kind == "regression":
        if scale != "value":
            raise UserError("a regression is judged by numbers", expected="scale value", got=f"scale {scale}")
    elif scale not in ("logit", "probability"):
        raise UserError(
            "these scores cannot become probabilities", expected="scale logit or probability", got=f"scale {scale}"
        )
    if values.ndim != 2:
        raise UserError("scores of one run must be a table", expected="[N, C]", got=f"shape {list(values.shape)}")
    if not np.isfinite(values).all():
        raise UserError(
            "scores must be finite", got=f"{int((~np.isfinite(values)).any(axis=1).sum())} rows with NaN or infinity"
        )
    if scale != "probability":
        return values
    if kind == "multilabel":
        if (values < 0).any() or (values > 1).any():
            raise UserError("probabilities of labels must lie in [0, 1]", got=f"{values.min():g} to {values.max():g}")
        return logit(np.clip(values, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY))
    if (values < 0).any():
        raise UserError("probabilities must not be negative", got=f"{int((values < 0).any(axis=1).sum())} such rows")
    return np.log(np.maximum(values, LEAST_PROBABILITY))


def fit(scores: np.ndarray, targets: np.ndarray, scale: Scale, kind: TaskKind = "multiclass") -> float:
    """The temperature with the lowest log-loss, within [1/20, 20].

    Log-loss is convex in 1/T, so its slope `mean_i (E_p[z_i] - z_i[y_i])` changes sign at most once and the root is
    found on log T. Degenerate cases: perfect separation ends at 1/20, scores worse than chance at 20; no rows, targets
    of one class, or rows that are all flat say nothing about T and give 1.0. Guo et al., ICML 2017. Of labels the same
    holds for the mean loss over labels, whose slope is `mean_ic z (sigmoid(z / T) - y)`.
    """
    logits, targets = as_logits(scores, scale, kind), np.asarray(targets)
    if len(logits) != len(targets):
        raise UserError("scores and targets differ in number", got=f"{len(logits)} and {len(targets)}")
    if kind == "regression":
        return 1.0
    if kind == "multilabel":
        return _root(_slope_of_labels(logits, targets)) if len(targets) and np.ptp(targets) and np.any(logits) else 1.0
    if len(targets) == 0 or np.all(targets == targets[0]) or np.all(np.ptp(logits, axis=1) == 0.0):
        return 1.0
    centred = logits - logits.max(axis=1, keepdims=True)
    true = np.take_along_axis(centred, targets[:, None].astype(np.intp), axis=1)[:, 0]

    def slope(log_temperature: float) -> float:
        weights = np.exp(centred * np.exp(-log_temperature))
        expected = (weights * centred).sum(axis=1) / weights.sum(axis=1)
        return float((expected - true).mean())

    return _root(slope)


def _slope_of_labels(logits: np.ndarray, targets: np.ndarray) -> Callable[[float], float]:
    def slope(log_temperature: float) -> float:
        return float((logits * (expit(logits * np.exp(-log_temperature)) - targets)).mean())

    return slope


def _root(slope: Callable[[float], float]) -> float:
    """Where the slope in 1/T changes sign, within the bounds."""
    low, high = float(np.log(BOUNDS[0])), float(np.log(BOUNDS[1]))
    # A positive slope in 1/T asks for a higher temperature.
    if slope(low) <= 0.0:
        return BOUNDS[0]
    if slope(high) >= 0.0:
        return BOUNDS[1]
    root: Any = brentq(slope, low, high, xtol=1e-12)
    return float(np.exp(root))


def apply(
    scores: np.ndarray, scale: Scale, temperature: float | np.ndarray, kind: TaskKind = "multiclass"
) -> np.ndarray:
    """softmax(z / T) in float64, stable for large scores; T is one number or one a row [N]. [N, C] -> [N, C].

    Of labels sigmoid(z / T); of a regression the numbers as they are.
    """
    used = np.asarray(temperature, dtype=np.float64)
    if not (np.isfinite(used).all() and (used > 0).all()):
        raise UserError("a temperature must be a positive number", got=f"{temperature}")
    logits = as_logits(scores, scale, kind)
    if kind == "regression":
        return logits
    if kind == "multilabel":
        return expit(logits / used.reshape(-1, 1))
    return np.exp(log_softmax(logits / used.reshape(-1, 1), axis=1))


def folds_of(ids: list[str], folds: int = 5) -> np.ndarray:
    """The fold of each item, by its id alone. [N] integers below `folds`."""
    if folds < 2:
        raise UserError("cross-fitting needs at least two folds", got=f"{folds}")
    return (seeds.uniform(ids, "temperature", "fold") * folds).astype(np.intp)


def crossfit(
    scores: np.ndarray,
    targets: np.ndarray,
    scale: Scale,
    ids: list[str],
    folds: int = 5,
    kind: TaskKind = "multiclass",
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N, C] whose temperature never saw their own fold, and the temperature of each row [N].

    Folds are keyed by id; give group names in place of ids to keep groups whole. Few rows: see `fit`.
    """
    if len(ids) != len(scores):
        raise UserError("scores and ids differ in number", got=f"{len(scores)} and {len(ids)}")
    logits, targets, fold = as_logits(scores, scale, kind), np.asarray(targets), folds_of(list(ids), folds)
    known: Scale = "value" if kind == "regression" else "logit"
    temperatures = np.ones(len(logits))
    for number in range(folds):
        held = fold == number
        if held.any():
            temperatures[held] = fit(logits[~held], targets[~held], known, kind)
    return apply(logits, known, temperatures, kind), temperatures
