from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from transfuse.errors import UserError
from transfuse.evaluation import temperature
from transfuse.evaluation.metric import metric


def drawn(seed: int = 0, boldness: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from their own chances, and logits that are so many times too bold."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(400, 3))
    return boldness * logits, (rng.random((400, 3)) < expit(logits)).astype(int)


def test_the_temperature_has_the_lowest_loss_by_another_search() -> None:
    scores, targets = drawn()
    loss = metric("binary_log_loss").values

    def at(log_t: float) -> float:
        return float(loss(targets, expit(scores / np.exp(log_t))[None])[0])

    found = temperature.fit(scores, targets, "logit", "multilabel")
    assert np.log(found) == pytest.approx(minimize_scalar(at, bounds=(-3, 3), method="bounded").x, abs=1e-4)
    assert found == pytest.approx(3.0, rel=0.2)


def test_probabilities_are_read_as_their_logits() -> None:
    scores, targets = drawn(1, 2.0)
    one, other = (
        temperature.fit(given, targets, scale, "multilabel")
        for given, scale in ((scores, "logit"), (expit(scores), "probability"))
    )
    assert one == pytest.approx(other, rel=1e-6)
    cooled = temperature.apply(expit(scores), "probability", 2.0, "multilabel")
    np.testing.assert_allclose(logit(cooled), scores / 2.0, rtol=1e-6)


def test_no_fold_sees_its_own_labels() -> None:
    scores, targets = drawn()
    ids = [f"i{row}" for row in range(400)]
    _, first = temperature.crossfit(scores, targets, "logit", ids, kind="multilabel")
    held = temperature.folds_of(ids) == 2
    changed = np.where(held[:, None], 1 - targets, targets)
    _, second = temperature.crossfit(scores, changed, "logit", ids, kind="multilabel")
    assert np.array_equal(first[held], second[held])
    assert not np.array_equal(first[~held], second[~held])


def test_nothing_to_learn_gives_one_and_bounds_hold() -> None:
    scores, targets = drawn()
    assert temperature.fit(scores, np.zeros_like(targets), "logit", "multilabel") == 1.0
    assert temperature.fit(np.zeros_like(scores), targets, "logit", "multilabel") == 1.0
    assert temperature.fit(scores[:0], targets[:0], "logit", "multilabel") == 1.0
    assert temperature.fit(9.0 * targets - 4.5, targets, "logit", "multilabel") == temperature.BOUNDS[0]
    assert temperature.fit(4.5 - 9.0 * targets, targets, "logit", "multilabel") == temperature.BOUNDS[1]


def test_numbers_have_none_and_stay_what_they_are() -> None:
    numbers = np.random.default_rng(0).normal(size=(20, 2))
    assert temperature.fit(numbers, numbers, "value", "regression") == 1.0
    assert np.array_equal(temperature.apply(numbers, "value", 7.0, "regression"), numbers)
    for scale, kind, bad in (
        ("logit", "regression", numbers),
        ("value", "multilabel", numbers),
        ("probability", "multilabel", numbers),
        ("value", "regression", numbers * np.nan),
    ):
        with pytest.raises(UserError):
            temperature.as_logits(bad, scale, kind)
