"""Teachers' answers meet the rows they are about; one of another fold is caught."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from transfuse.errors import UserError
from transfuse.steps._taught import beside, log_probabilities
from transfuse.store import Artifact

CPU = torch.device("cpu")


def artifact(meta=None, **arrays) -> Artifact:
    return Artifact(meta or {}, arrays)


def teacher(rows, scores, scale="logit", temperature=1.0) -> Artifact:
    return artifact({"scale": scale, "temperature": temperature}, rows=np.array(rows), scores=np.array(scores))


ROWS = artifact(judge=np.array([8, 9]))


def test_answers_are_joined_by_row_and_not_by_place() -> None:
    first = teacher([2, 5, 7], [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    second = teacher([7, 2, 5], [[30.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    feed = beside({"teacher0": first, "teacher1": second, "rows": ROWS}, 2, CPU)["teacher"]
    one, other = feed.batch(np.array([5, 2]))
    np.testing.assert_allclose(one.numpy(), log_softmax([[2.0, 0.0], [1.0, 0.0]], axis=1), atol=1e-6)
    np.testing.assert_allclose(other.numpy(), log_softmax([[20.0, 0.0], [10.0, 0.0]], axis=1), atol=1e-6)


def test_a_planted_teacher_of_another_fold_is_caught() -> None:
    with pytest.raises(UserError, match="another run") as caught:
        beside({"teacher0": teacher([2, 8, 9], np.zeros((3, 2))), "rows": ROWS}, 2, CPU)
    assert "2 of the rows" in str(caught.value)


def test_a_teacher_that_lacks_rows_is_caught() -> None:
    feed = beside({"teacher0": teacher([2], [[0.0, 1.0]]), "rows": ROWS}, 2, CPU)["teacher"]
    with pytest.raises(UserError, match="missing for some rows"):
        feed.batch(np.array([2, 3]))


def test_a_teacher_of_other_classes_is_refused() -> None:
    with pytest.raises(UserError, match="other classes"):
        beside({"teacher0": teacher([2], [[0.0, 1.0, 2.0]]), "rows": ROWS}, 2, CPU)


def test_logits_and_probabilities_of_one_teacher_say_the_same() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 4))
    cooled = log_softmax(logits / 2.5, axis=1)
    np.testing.assert_allclose(log_probabilities(logits, {"scale": "logit", "temperature": 2.5}), cooled, atol=1e-6)
    chances = {"scale": "probability", "temperature": 1.0}
    np.testing.assert_allclose(log_probabilities(np.exp(cooled), chances), cooled, atol=1e-6)
    assert np.isfinite(log_probabilities(np.eye(3), chances)).all()


def test_features_of_a_teacher_stand_side_by_side_in_the_order_of_its_rows() -> None:
    rng = np.random.default_rng(0)
    vector, image = rng.normal(size=(4, 2)), rng.normal(size=(4, 3, 2, 2))
    inputs = {
        "features0_1|b": artifact(rows=np.array([3]), block=image[3:]),
        "features0_1|a": artifact(rows=np.arange(3), block=image[:3]),
        "features0_0|a": artifact(rows=np.arange(3), block=vector[:3]),
        "features0_0|b": artifact(rows=np.array([3]), block=vector[3:]),
        "rows": ROWS,
    }
    (block,) = beside(inputs, 2, CPU)["teacher_features"].batch(np.array([3, 0]))
    np.testing.assert_allclose(block.numpy(), np.hstack([vector, image.mean(axis=(2, 3))])[[3, 0]])


def test_nobody_is_taught_by_nobody() -> None:
    assert beside({"rows": ROWS}, 2, CPU) == {}
