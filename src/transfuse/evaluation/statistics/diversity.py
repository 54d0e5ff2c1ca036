"""How differently models err: without it an ensemble's gain could be neither explained nor foretold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfuse.kinds import LEAST_PROBABILITY


def agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Per item: both right, only the first, only the second, both wrong. Right answers [k, N] -> [k, N, 4]."""
    cells = (first & second, first & ~second, ~first & second, ~first & ~second)
    return np.stack(cells, axis=-1).astype(np.float64)


def error_correlation(shares: np.ndarray) -> np.ndarray:
    """φ of two models' errors from the shares of `agreement`; NaN where one is always right or always wrong.

    (n11 n00 − n10 n01) / sqrt of the product of the four margins. [..., 4] -> [...]. Kuncheva, Whitaker, 2003.
    """
    both, first, second, none = np.moveaxis(shares, -1, 0)
    margins = (both + first) * (second + none) * (both + second) * (first + none)
    return (both * none - first * second) / np.sqrt(np.where(margins > 0, margins, np.nan))


def q_statistic(shares: np.ndarray) -> np.ndarray:
    """Yule's Q = (n11 n00 − n10 n01) / (n11 n00 + n10 n01); NaN where both products are 0. [..., 4] -> [...]."""
    both, first, second, none = np.moveaxis(shares, -1, 0)
    total = both * none + first * second
    return (both * none - first * second) / np.where(total > 0, total, np.nan)


@dataclass(frozen=True)
class Pool:
    """Item values [N] of K models and of what they are together, in one run.

    `right_somewhere`: one of them is right. `member_error`, `member_brier`, `member_log_loss`: means over models.
    `pool_error`: of the mean probabilities' answer; `vote_error`: of the majority vote, ties broken by lot (of two
    models exactly the mean error). `disagreement`: two models drawn with replacement answer differently. `brier`: of
    the mean probabilities; `log_loss`: of their normalised geometric mean. `ambiguity_brier`, `ambiguity_log_loss`:
    what the pool gains over its average member, as a spread of the members.
    """

    right_somewhere: np.ndarray
    member_error: np.ndarray
    pool_error: np.ndarray
    vote_error: np.ndarray
    disagreement: np.ndarray
    member_brier: np.ndarray
    brier: np.ndarray
    ambiguity_brier: np.ndarray
    member_log_loss: np.ndarray
    log_loss: np.ndarray
    ambiguity_log_loss: np.ndarray


def pool(probs: Sequence[np.ndarray], targets: np.ndarray) -> Pool:
    """The item values of models [N, C] each.

    Exact for every item: mean_k ‖p_k − e_y‖² − ‖p̄ − e_y‖² = mean_k ‖p_k − p̄‖², and mean_k −log p_ky + log g_y =
    −log Σ_c Π_k p_kc^(1/K) ≥ 0 with g the normalised geometric mean; probabilities are floored at 1e-15 for the latter.
    Krogh, Vedelsby, 1995; Wood et al., 2023.
    """
    count, items, rows = len(probs), len(targets), np.arange(len(targets))
    mean, logs, votes = (np.zeros(probs[0].shape) for _ in range(3))
    brier, loss, spread = (np.zeros(items) for _ in range(3))
    right = np.zeros((count, items), dtype=bool)
    for number, each in enumerate(probs):
        floored, answers = np.maximum(each, LEAST_PROBABILITY), each.argmax(axis=1)
        mean += each / count
        logs += np.log(floored) / count
        votes[rows, answers] += 1.0
        right[number] = answers == targets
        brier += _distance(each, targets) / count
        loss -= np.log(floored[rows, targets]) / count
    for each in probs:
        spread += ((each - mean) ** 2).sum(axis=1) / count
    most = votes == votes.max(axis=1, keepdims=True)
    ambiguity = -np.log(np.exp(logs).sum(axis=1))
    return Pool(
        right_somewhere=np.asarray(right.any(axis=0), dtype=np.float64),
        member_error=1.0 - right.mean(axis=0),
        pool_error=(mean.argmax(axis=1) != targets).astype(np.float64),
        vote_error=1.0 - most[rows, targets] / most.sum(axis=1),
        disagreement=1.0 - ((votes / count) ** 2).sum(axis=1),
        member_brier=brier,
        brier=_distance(mean, targets),
        ambiguity_brier=spread,
        member_log_loss=loss,
        log_loss=-logs[rows, targets] - ambiguity,
        ambiguity_log_loss=ambiguity,
    )


HALVED = ("member_brier", "brier", "ambiguity_brier")


def pool_of_labels(probs: Sequence[np.ndarray], targets: np.ndarray) -> Pool:
    """The item values [N] of models of labels [N, C] each: every label a question of two answers, averaged over labels.

    Brier scores are those of one label's chance, as `binary_brier` has them.
    """
    questions = [np.stack([1.0 - each, each], axis=-1).reshape(-1, 2) for each in probs]
    found = vars(pool(questions, targets.astype(np.int64).ravel()))
    return Pool(
        **{
            name: values.reshape(targets.shape).mean(axis=1) / (2.0 if name in HALVED else 1.0)
            for name, values in found.items()
        }
    )


@dataclass(frozen=True)
class NumbersPool:
    """Item values [N] of K models of numbers and of their mean: squared errors, and the members' spread about it."""

    member_error: np.ndarray
    pool_error: np.ndarray
    ambiguity: np.ndarray


def pool_of_numbers(numbers: Sequence[np.ndarray], targets: np.ndarray) -> NumbersPool:
    """Exact for every item, mean over targets: mean_k (f_k − y)² − (f̄ − y)² = mean_k (f_k − f̄)². [N, T] each.

    Krogh, Vedelsby, 1995.
    """
    every = np.stack(list(numbers))
    mean = every.mean(axis=0)
    return NumbersPool(
        member_error=np.square(every - targets).mean(axis=(0, 2)),
        pool_error=np.square(mean - targets).mean(axis=1),
        ambiguity=np.square(every - mean).mean(axis=(0, 2)),
    )


def residual_products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What `residual_correlation` needs of two models' errors: e, e', e², e'², e e' of each target, each target in
    units of both errors' size so that none drowns the others. [k, N, T] -> [k, N, 5 T]."""
    size = np.sqrt((np.square(first) + np.square(second)).mean(axis=(0, 1)) / 2.0)
    one, other = (each / np.where(size > 0, size, 1.0) for each in (first, second))
    return np.concatenate([one, other, one**2, other**2, one * other], axis=-1)


def residual_correlation(means: np.ndarray) -> np.ndarray:
    """Pearson's correlation of two models' errors, mean over targets, from the means of `residual_products`; NaN where
    one of them errs by the same everywhere. [..., 5 T] -> [...]."""
    one, other, first, second, both = np.split(means, 5, axis=-1)
    spread = (first - one**2) * (second - other**2)
    return ((both - one * other) / np.sqrt(np.where(spread > 0, spread, np.nan))).mean(axis=-1)


def _distance(probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """‖p − e_y‖² of each row. [N, C], [N] -> [N]."""
    true = probs[np.arange(len(targets)), targets]
    return (probs**2).sum(axis=1) - 2.0 * true + 1.0


def disagreement_ratio(means: np.ndarray) -> np.ndarray:
    """DER = disagreement / mean error of the members, from their means. [..., 2] -> [...]. Theisen et al., 2023."""
    return means[..., 0] / np.where(means[..., 1] > 0, means[..., 1], np.nan)


def improvement_rate(means: np.ndarray) -> np.ndarray:
    """EIR = (mean error of the members − error of the pool) / mean error, from the means [pool, members]."""
    return 1.0 - disagreement_ratio(means)
