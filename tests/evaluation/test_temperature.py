from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from transfuse.errors import UserError
from transfuse.evaluation import temperature


def logits(count: int = 300, classes: int = 4, boldness: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(count, classes))
    targets = np.array([rng.choice(classes, p=row) for row in softmax(true, axis=1)])
    return boldness * true, targets


def test_recovers_the_boldness_that_was_put_in() -> None:
    scores, targets = logits(20_000, boldness=3.0)
    assert temperature.fit(scores, targets, "logit") == pytest.approx(3.0, rel=0.05)


@given(st.floats(0.1, 10.0), st.integers(0, 50))
@settings(deadline=None, max_examples=20)
def test_no_other_temperature_has_a_lower_loss(boldness: float, seed: int) -> None:
    scores, targets = logits(100, boldness=boldness, seed=seed)

    def loss(log_temperature: float) -> float:
        return -log_softmax(scores / np.exp(log_temperature), axis=1)[np.arange(len(targets)), targets].mean()

    oracle = minimize_scalar(loss, bounds=np.log(temperature.BOUNDS), method="bounded", options={"xatol": 1e-10})
    assert loss(float(np.log(temperature.fit(scores, targets, "logit")))) <= oracle.fun + 1e-12


@given(st.floats(0.2, 5.0))
@settings(deadline=None, max_examples=20)
def test_scaling_the_scores_scales_the_temperature(factor: float) -> None:
    scores, targets = logits(boldness=2.0)
    assert temperature.fit(factor * scores, targets, "logit") == pytest.approx(
        factor * temperature.fit(scores, targets, "logit"), rel=1e-6
    )


def test_degenerate_rows() -> None:
    scores, targets = logits()
    separated = np.eye(4)[targets]
    assert temperature.fit(separated, targets, "logit") == temperature.BOUNDS[0]
    assert temperature.fit(-separated, targets, "logit") == temperature.BOUNDS[1]
    assert temperature.fit(scores[:0], targets[:0], "logit") == 1.0
    assert temperature.fit(scores, np.zeros_like(targets), "logit") == 1.0
    assert temperature.fit(np.full((5, 3), 7.0), np.array([0, 1, 2, 0, 1]), "logit") == 1.0


def test_logits_and_their_probabilities_agree() -> None:
    scores, targets = logits(boldness=1.0)
    probs = softmax(scores, axis=1)
    assert temperature.fit(probs, targets, "probability") == pytest.approx(temperature.fit(scores, targets, "logit"))
    np.testing.assert_allclose(temperature.apply(probs, "probability", 2.0), temperature.apply(scores, "logit", 2.0))


def test_apply_is_the_softmax_and_stable() -> None:
    scores, targets = logits()
    np.testing.assert_allclose(temperature.apply(scores, "logit", 1.7), softmax(scores / 1.7, axis=1))
    assert log_loss(targets, temperature.apply(scores, "logit", 1.0)) > 0
    huge = temperature.apply(np.array([[1e5, 0.0], [-1e5, 0.0]]), "logit", 0.05)
    np.testing.assert_allclose(huge, [[1.0, 0.0], [0.0, 1.0]])


def test_apply_takes_one_temperature_a_row_and_keeps_its_input() -> None:
    scores, _ = logits(3)
    before = scores.copy()
    found = temperature.apply(scores, "logit", np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found[2], softmax(scores[2] / 3.0))
    np.testing.assert_array_equal(scores, before)


def test_a_zero_probability_is_floored() -> None:
    assert temperature.apply(np.array([[1.0, 0.0]]), "probability", 1.0)[0, 1] == pytest.approx(1e-15)


def test_crossfit_never_uses_the_own_fold() -> None:
    scores, targets = logits(400)
    ids = [f"i{row}" for row in range(400)]
    probs, found = temperature.crossfit(scores, targets, "logit", ids)
    fold = temperature.folds_of(ids)
    assert set(fold) == {0, 1, 2, 3, 4}
    for number in range(5):
        held = fold == number
        expected = temperature.fit(scores[~held], targets[~held], "logit")
        np.testing.assert_allclose(found[held], expected)
        np.testing.assert_allclose(probs[held], temperature.apply(scores[held], "logit", expected))


def test_crossfit_depends_on_ids_and_not_on_order() -> None:
    scores, targets = logits(200)
    ids = [f"i{row}" for row in range(200)]
    order = np.random.default_rng(1).permutation(200)
    probs, _ = temperature.crossfit(scores, targets, "logit", ids)
    turned, _ = temperature.crossfit(scores[order], targets[order], "logit", [ids[row] for row in order])
    np.testing.assert_allclose(turned, probs[order], rtol=1e-9)


def test_crossfit_of_one_row_changes_nothing() -> None:
    probs, found = temperature.crossfit(np.array([[1.0, 0.0]]), np.array([0]), "logit", ["only"])
    np.testing.assert_allclose(probs, softmax([[1.0, 0.0]], axis=1))
    assert found.tolist() == [1.0]


@pytest.mark.parametrize(
    ("scores", "scale"),
    [
        (np.array([[np.nan, 1.0]]), "logit"),
        (np.array([[np.inf, 1.0]]), "logit"),
        (np.array([[-0.1, 1.1]]), "probability"),
        (np.array([[0.5, 0.5]]), "value"),
        (np.array([0.5, 0.5]), "logit"),
    ],
)
def test_refuses_what_is_no_score_table(scores: np.ndarray, scale: str) -> None:
    with pytest.raises(UserError):
        temperature.as_logits(scores, scale)  # pyright: ignore[reportArgumentType]


def test_refuses_mismatched_sizes_and_impossible_temperatures() -> None:
    scores, targets = logits(10)
    with pytest.raises(UserError, match="differ in number"):
        temperature.fit(scores, targets[:5], "logit")
    with pytest.raises(UserError, match="differ in number"):
        temperature.crossfit(scores, targets, "logit", ["a"])
    with pytest.raises(UserError, match="two folds"):
        temperature.folds_of(["a"], 1)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="positive"):
            temperature.apply(scores, "logit", wrong)
