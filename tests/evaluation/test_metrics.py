from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, log_loss, recall_score

from transfuse import registry
from transfuse.errors import UserError
from transfuse.evaluation.metric import Metric, metric

EVERY = [
    name for name in sorted(registry.shelf("evaluation/metrics")) if {"multiclass", "scores"} & {*metric(name).kinds}
]
CLASSIFYING = [name for name in EVERY if metric(name).takes == "probabilities"]


def drawn(seed: int, count: int = 120, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, count), rng.dirichlet(np.ones(classes), count)


def value(name: str, targets: np.ndarray, probs: np.ndarray) -> float:
    return float(metric(name).values(targets, probs[None])[0])


def slow_ece(targets: np.ndarray, probs: np.ndarray) -> float:
    """Bin by bin, from the definition."""
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == targets
    found = 0.0
    for number in range(15):
        low, high = number / 15, (number + 1) / 15
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            found += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return found


def slow_worst(targets: np.ndarray, probs: np.ndarray) -> float:
    return float(
        recall_score(targets, probs.argmax(axis=1), average=None, zero_division=1.0, labels=np.unique(targets)).min()
    )


ORACLES = {
    "log_loss": lambda y, p: log_loss(y, p, labels=range(p.shape[1])),
    "accuracy": lambda y, p: accuracy_score(y, p.argmax(axis=1)),
    "brier": lambda y, p: brier_score_loss(y, p, labels=range(p.shape[1]), scale_by_half=False),
    "ece": slow_ece,
    "worst_class": slow_worst,
    "macro_f1": lambda y, p: f1_score(y, p.argmax(axis=1), average="macro"),
}


def test_the_shelf_holds_what_was_asked_for() -> None:
    assert set(ORACLES) | {"score", "loss", "ece_debiased"} == set(EVERY)


@pytest.mark.parametrize("name", sorted(ORACLES))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agrees_with_an_independent_oracle(name: str, seed: int) -> None:
    targets, probs = drawn(seed)
    assert value(name, targets, probs) == pytest.approx(ORACLES[name](targets, probs), abs=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_a_resample_is_one_matrix_product(name: str) -> None:
    targets, probs = drawn(3)
    used = probs[:, :1] if metric(name).takes == "scores" else probs
    picks = np.random.default_rng(4).integers(0, len(targets), (5, len(targets)))
    counts = np.stack([np.bincount(row, minlength=len(targets)) for row in picks]).astype(float)
    fast = metric(name).finish(counts @ metric(name).columns(targets, used))
    slow = [value(name, targets[row], used[row]) for row in picks]
    np.testing.assert_allclose(fast, slow, rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in EVERY if metric(name).item_mean])
def test_an_item_mean_is_a_value_and_a_count(name: str) -> None:
    targets, probs = drawn(5)
    columns = metric(name).columns(targets, probs)
    assert columns.shape == (len(targets), 2)
    assert (columns[:, 1] == 1.0).all()
    assert value(name, targets, probs) == pytest.approx(columns[:, 0].mean())


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_row_order_is_irrelevant_and_doubling_changes_nothing(seed: int) -> None:
    targets, probs = drawn(seed)
    order = np.random.default_rng(seed).permutation(len(targets))
    for name in CLASSIFYING:
        plain = value(name, targets, probs)
        assert value(name, targets[order], probs[order]) == pytest.approx(plain)
        if name != "ece_debiased":  # it knows that twice the items tell more
            assert value(name, np.tile(targets, 2), np.tile(probs, (2, 1))) == pytest.approx(plain)


@pytest.mark.parametrize("name", CLASSIFYING)
def test_perfect_answers_reach_the_best_value_and_an_error_leaves_it(name: str) -> None:
    targets = np.array([0, 1, 2, 0, 1, 2])
    perfect = np.eye(3)[targets]
    facts = metric(name)
    best = facts.low if facts.direction == "lower" else facts.high
    assert value(name, targets, perfect) == best
    wrong = perfect.copy()
    wrong[0] = [0.0, 1.0, 0.0]
    worse = value(name, targets, wrong)
    assert worse > best if facts.direction == "lower" else worse < best


@pytest.mark.parametrize("name", EVERY)
def test_inputs_stay_as_they_are(name: str) -> None:
    targets, probs = drawn(6)
    kept = targets.copy(), probs.copy()
    metric(name).values(targets, probs[None])
    np.testing.assert_array_equal(targets, kept[0])
    np.testing.assert_array_equal(probs, kept[1])


def ece(confidences: list[float], right: list[bool]) -> float:
    probs = np.array([[confidence, 1 - confidence] for confidence in confidences])
    return value("ece", np.array([0 if each else 1 for each in right]), probs)


def test_calibration_error_by_hand() -> None:
    # Both fall into the last bin (14/15, 1]: |0.95 + 1.0 - 1| / 2.
    assert ece([0.95, 1.0], [True, False]) == pytest.approx(0.475)
    assert ece([1.0, 1.0], [True, True]) == 0.0
    assert ece([1.0, 1.0], [False, False]) == 1.0
    assert ece([0.6, 0.8], [True, False]) == pytest.approx((0.4 + 0.8) / 2)


def test_calibration_bins_are_closed_on_the_right() -> None:
    # 9/15 = 0.6 belongs to the bin below 0.6, so it does not cancel against 0.61, which lies above.
    assert ece([9 / 15, 0.61], [True, False]) == pytest.approx((0.4 + 0.61) / 2)


def test_one_sure_error_costs_the_floor() -> None:
    assert value("log_loss", np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx(-math.log(1e-15))


def test_worst_class_skips_absent_classes_and_is_undefined_for_none() -> None:
    probs = np.eye(3)[[0, 0, 1]]
    assert value("worst_class", np.array([0, 0, 1]), probs) == 1.0
    assert value("worst_class", np.array([0, 1, 1]), probs) == 0.5
    assert np.isnan(metric("worst_class").finish(np.zeros(6)))


def test_an_unknown_metric_offers_the_nearest() -> None:
    with pytest.raises(UserError, match="log_loss"):
        metric("logloss")


def test_facts_are_read_from_the_literals() -> None:
    found = metric("log_loss")
    assert isinstance(found, Metric)
    assert (found.direction, found.unit, found.low, found.high) == ("lower", "nats", 0.0, None)


def naive_debiased(targets: np.ndarray, probs: np.ndarray, draws: int = 4000) -> float:
    """Twice the error less its mean over redrawn accuracies of each bin, by drawing them."""
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == targets
    rng, found = np.random.default_rng(0), 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            accuracy, count = right[inside].mean(), inside.sum()
            again = rng.normal(accuracy, (accuracy * (1 - accuracy) / count) ** 0.5, draws)
            mean = confidence[inside].mean()
            found += inside.mean() * (2 * abs(mean - accuracy) - np.abs(mean - again).mean())
    return max(found, 0.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_debiased_calibration_error_is_what_drawing_finds(seed: int) -> None:
    targets, probs = drawn(seed, 300)
    assert value("ece_debiased", targets, probs) == pytest.approx(naive_debiased(targets, probs), abs=2e-3)


def test_debiasing_takes_off_what_chance_adds() -> None:
    """Answers that are right exactly as often as they are sure: the true error is 0."""
    rng, plain, debiased = np.random.default_rng(0), [], []
    for _ in range(30):
        probs = rng.dirichlet(np.ones(3), 300)
        targets = (probs.cumsum(axis=1) < rng.random((300, 1))).sum(axis=1)
        plain.append(value("ece", targets, probs))
        debiased.append(value("ece_debiased", targets, probs))
    assert np.mean(debiased) < 0.7 * np.mean(plain)


def test_macro_f1_of_a_resample_without_a_class_is_over_those_that_occur() -> None:
    targets, probs = np.array([0, 1, 0, 1]), np.eye(5)[[0, 1, 1, 1]]
    assert value("macro_f1", targets, probs) == pytest.approx(f1_score(targets, [0, 1, 1, 1], average="macro"))
