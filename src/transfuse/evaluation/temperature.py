"""One temperature per arm and run: without it log-loss would compare how boldly arms speak, not what they know.

A temperature T turns scores z into softmax(z / T). It is fitted on rows apart from the judged ones, or cross-fitted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax

from transfuse import seeds
from transfuse.errors import UserError
from transfuse.evaluation.metrics.log_loss import FLOOR
from transfuse.types import Scale

BOUNDS = (1 / 20, 20.0)


def as_logits(scores: np.ndarray, scale: Scale) -> np.ndarray:
    """Scores as float64 logits [N, C]; probabilities become logs, floored at 1e-15.

    Raises: `UserError` for scale `value` (no probabilities behind it), for scores that are not finite or not [N, C],
    and for negative probabilities.
    """
    values = np.asarray(scores, dtype=np.float64)
    if scale not in ("logit", "probability"):
        raise UserError(
            "these scores cannot become probabilities", expected="scale logit or probability", got=f"scale {scale}"
        )
    if values.ndim != 2:
        raise UserError("scores of one run must be a table", expected="[N, C]", got=f"shape {list(values.shape)}")
    if not np.isfinite(values).all():
        raise UserError(
            "scores must be finite", got=f"{int((~np.isfinite(values)).any(axis=1).sum())} rows with NaN or infinity"
        )
    if scale == "logit":
        return values
    if (values < 0).any():
        raise UserError("probabilities must not be negative", got=f"{int((values < 0).any(axis=1).sum())} such rows")
    return np.log(np.maximum(values, FLOOR))


def fit(scores: np.ndarray, targets: np.ndarray, scale: Scale) -> float:
    """The temperature with the lowest log-loss, within [1/20, 20].

    Log-loss is convex in 1/T, so its slope `mean_i (E_p[z_i] - z_i[y_i])` changes sign at most once and the root is
    found on log T. Degenerate cases: perfect separation ends at 1/20, scores worse than chance at 20; no rows, targets
    of one class, or rows that are all flat say nothing about T and give 1.0. Guo et al., ICML 2017.
    """
    logits, targets = as_logits(scores, scale), np.asarray(targets)
    if len(logits) != len(targets):
        raise UserError("scores and targets differ in number", got=f"{len(logits)} and {len(targets)}")
    if len(targets) == 0 or np.all(targets == targets[0]) or np.all(np.ptp(logits, axis=1) == 0.0):
        return 1.0
    centred = logits - logits.max(axis=1, keepdims=True)
    true = np.take_along_axis(centred, targets[:, None].astype(np.intp), axis=1)[:, 0]

    def slope(log_temperature: float) -> float:
        weights = np.exp(centred * np.exp(-log_temperature))
        expected = (weights * centred).sum(axis=1) / weights.sum(axis=1)
        return float((expected - true).mean())

    low, high = float(np.log(BOUNDS[0])), float(np.log(BOUNDS[1]))
    # A positive slope in 1/T asks for a higher temperature.
    if slope(low) <= 0.0:
        return BOUNDS[0]
    if slope(high) >= 0.0:
        return BOUNDS[1]
    root: Any = brentq(slope, low, high, xtol=1e-12)
    return float(np.exp(root))


def apply(scores: np.ndarray, scale: Scale, temperature: float | np.ndarray) -> np.ndarray:
    """softmax(z / T) in float64, stable for large scores; T is one number or one a row [N]. [N, C] -> [N, C]."""
    used = np.asarray(temperature, dtype=np.float64)
    if not (np.isfinite(used).all() and (used > 0).all()):
        raise UserError("a temperature must be a positive number", got=f"{temperature}")
    return np.exp(log_softmax(as_logits(scores, scale) / used.reshape(-1, 1), axis=1))


def folds_of(ids: list[str], folds: int = 5) -> np.ndarray:
    """The fold of each item, by its id alone. [N] integers below `folds`."""
    if folds < 2:
        raise UserError("cross-fitting needs at least two folds", got=f"{folds}")
    return (seeds.uniform(ids, "temperature", "fold") * folds).astype(np.intp)


def crossfit(
    scores: np.ndarray, targets: np.ndarray, scale: Scale, ids: list[str], folds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N, C] whose temperature never saw their own fold, and the temperature of each row [N].

    Folds are keyed by id; give group names in place of ids to keep groups whole. Few rows: see `fit`.
    """
    if len(ids) != len(scores):
        raise UserError("scores and ids differ in number", got=f"{len(scores)} and {len(ids)}")
    logits, targets, fold = as_logits(scores, scale), np.asarray(targets), folds_of(list(ids), folds)
    temperatures = np.ones(len(logits))
    for number in range(folds):
        held = fold == number
        if held.any():
            temperatures[held] = fit(logits[~held], targets[~held], "logit")
    return apply(logits, "logit", temperatures), temperatures
