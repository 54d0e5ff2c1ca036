"""Planted faults of labels and numbers: each check passes on our function and must fail on the mutant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from transfuse.data import strata
from transfuse.evaluation import temperature
from transfuse.evaluation.metrics import macro_auroc, macro_average_precision, r2
from transfuse.fusion import kinds_lift
from transfuse.registry import method

RNG = np.random.default_rng(0)
TARGETS = (RNG.random((60, 3)) < [0.1, 0.4, 0.8]).astype(int)
CHANCES = np.round(0.4 * TARGETS + 0.6 * RNG.random((60, 3)), 1)  # many ties


def check_ties_of_precision(weighted: Callable[..., np.ndarray]) -> None:
    """Items of one chance are one step: their order in the file is no skill."""
    wanted = average_precision_score(TARGETS, CHANCES, average="macro")
    assert weighted(TARGETS, CHANCES, np.ones((1, 60)))[0] == pytest.approx(wanted)


def check_ties_of_area(weighted: Callable[..., np.ndarray]) -> None:
    """Ties count half."""
    assert weighted(TARGETS, CHANCES, np.ones((1, 60)))[0] == pytest.approx(roc_auc_score(TARGETS, CHANCES))


def check_weights_of_ranks(weighted: Callable[..., np.ndarray]) -> None:
    """An item drawn twice counts twice."""
    counts = RNG.integers(0, 3, 60)
    rows = np.repeat(np.arange(60), counts)
    wanted = average_precision_score(TARGETS[rows], CHANCES[rows], average="macro")
    assert weighted(TARGETS, CHANCES, counts[None].astype(float))[0] == pytest.approx(wanted)


def check_variance_of_a_resample(finish: Callable[[np.ndarray], np.ndarray]) -> None:
    """The variance is that of the drawn items, about their own mean."""
    numbers = RNG.normal(size=(50, 2))
    guesses = numbers + RNG.normal(size=(50, 2))
    rows = RNG.integers(0, 50, 50)
    sums = np.bincount(rows, minlength=50) @ r2.columns(numbers, guesses)
    assert finish(sums) == pytest.approx(r2_score(numbers[rows], guesses[rows]))


def check_temperature_of_labels(fit: Callable[..., float]) -> None:
    """Labels are fitted by their own chances, not as classes that exclude each other."""
    logits = RNG.normal(size=(500, 3))
    truth = (RNG.random((500, 3)) < 1 / (1 + np.exp(-logits))).astype(int)
    assert fit(2.0 * logits, truth, "logit", "multilabel") == pytest.approx(2.0, rel=0.25)


def check_labels_stay_apart(apply: Callable[..., np.ndarray]) -> None:
    """A pool of labels may say yes to several at once."""
    sure = np.full((2, 4, 3), 0.9)
    pooled = apply(method("outputs/mean_prob"), {}, sure, "multilabel")
    np.testing.assert_allclose(pooled, 0.9)


def check_rare_labels_are_dealt(divided: Callable[..., np.ndarray]) -> None:
    """Five items of a rare label go to five folds."""
    marks = np.zeros((100, 2), dtype=int)
    marks[:5, 0] = 1
    marks[:, 1] = 1
    assert sorted(divided(marks, np.ones(100), [20] * 5)[:5].tolist()) == [0, 1, 2, 3, 4]


def untied(targets: np.ndarray, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return macro_average_precision.weighted(targets, probs - 1e-9 * np.arange(len(probs))[:, None], weights)


def optimistic(targets: np.ndarray, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return macro_auroc.weighted(targets, probs + 1e-9 * targets, weights)


def unweighted(targets: np.ndarray, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return macro_average_precision.weighted(targets, probs, np.minimum(weights, 1.0))


def about_zero(sums: np.ndarray) -> np.ndarray:
    width = (sums.shape[-1] - 1) // 3
    return (1.0 - sums[..., :width] / sums[..., 2 * width : 3 * width]).mean(axis=-1)


def as_classes(scores: np.ndarray, targets: np.ndarray, scale: Any, kind: str) -> float:
    return temperature.fit(scores, targets.argmax(axis=1), scale)


def normalised(entry: Any, state: Any, members: np.ndarray, kind: str) -> np.ndarray:
    pooled = kinds_lift.apply(entry, state, members, kind)  # pyright: ignore[reportArgumentType]
    return pooled / pooled.sum(axis=1, keepdims=True)


def in_turn(marks: np.ndarray, weights: np.ndarray, sizes: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


PLANTED = [
    (check_ties_of_precision, macro_average_precision.weighted, untied),
    (check_ties_of_area, macro_auroc.weighted, optimistic),
    (check_weights_of_ranks, macro_average_precision.weighted, unweighted),
    (check_variance_of_a_resample, r2.finish, about_zero),
    (check_temperature_of_labels, temperature.fit, as_classes),
    (check_labels_stay_apart, kinds_lift.apply, normalised),
    (check_rare_labels_are_dealt, strata.divided, in_turn),
]


@pytest.mark.parametrize(("check", "ours", "mutant"), PLANTED, ids=lambda each: each.__name__)
def test_a_planted_fault_is_caught(check: Any, ours: Any, mutant: Any) -> None:
    check(ours)
    with pytest.raises(AssertionError):
        check(mutant)
