"""What is unlike the training rows: the share of false alarms is what is promised, and planted strangers are found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.data.familiar import LOOKS, Familiar, distances, fit, highest_usual, looks


def photos(count: int, seed: int) -> np.ndarray:
    """Soft coloured blobs on a middling ground, [N, 3, 16, 16]."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(0.2, 0.8, (count, 3, 4, 4))
    noise = rng.normal(0, 0.02, (count, 3, 16, 16))
    return np.clip(small.repeat(4, axis=2).repeat(4, axis=3) + noise, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def known() -> Familiar:
    rng = np.random.default_rng(1)
    sure = rng.dirichlet(np.full(3, 0.3), 150)
    found = fit(looks(photos(200, 0)), looks(photos(150, 1)), sure)
    assert found is not None
    return found


@settings(deadline=None, max_examples=30)
@given(st.integers(10, 400), st.sampled_from([0.01, 0.05, 0.2]))
def test_a_further_score_exceeds_the_threshold_no_more_often_than_promised(count: int, level: float):
    """Exact: of n + 1 exchangeable scores each is the further one in turn."""
    scores = np.random.default_rng(count).permutation(count + 1).astype(float)
    hits = np.mean([scores[one] > highest_usual(np.delete(scores, one), level) for one in range(count + 1)])
    assert hits <= max(level, 1 / (count + 1)) + 1e-12
    assert hits >= max(level, 1 / (count + 1)) - 1 / (count + 1)


def test_fresh_rows_of_the_same_kind_are_told_at_the_level(known: Familiar):
    told = known.unlike(looks(photos(4000, 2)), None)
    # 150 rows apart fix the share to 0.01 ± 0.008 (a beta distribution); four of those are far off.
    assert np.mean([bool(why) for why in told]) < 0.04
    assert known.level == max(0.01, 1 / 151)


STRANGERS = {
    "black": lambda x: np.zeros_like(x),
    "white": lambda x: np.ones_like(x),
    "noise": lambda x: np.random.default_rng(3).random(x.shape).astype(np.float32),
    "grey": lambda x: np.repeat(x.mean(axis=1, keepdims=True), 3, axis=1),
    "sketch": lambda x: (x > 0.5).astype(np.float32),
    "faint": lambda x: 0.45 + 0.1 * x,
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_strangers_are_told_by_their_looks(known: Familiar, kind: str):
    told = known.unlike(looks(STRANGERS[kind](photos(100, 4))), None)
    assert np.mean([why == "looks" for why in told]) > 0.9


def test_an_unsure_answer_is_told_and_both_reasons_stand_together(known: Familiar):
    probabilities = np.array([[1.0, 0.0, 0.0], [0.34, 0.33, 0.33], [0.34, 0.33, 0.33]])
    images = photos(3, 1)
    images[2] = 0
    assert known.unlike(looks(images), probabilities) == ["", "unsure", "looks,unsure"]


def test_distances_are_those_of_mahalanobis():
    from scipy.spatial.distance import mahalanobis

    rng = np.random.default_rng(5)
    rows, centre = rng.normal(size=(7, 4)), rng.normal(size=4)
    inverse = np.linalg.inv(np.cov(rng.normal(size=(40, 4)), rowvar=False))
    expected = [mahalanobis(row, centre, inverse) for row in rows]
    np.testing.assert_allclose(distances(rows, centre, inverse), expected)


def test_looks_of_plain_images_are_what_they_say():
    images = np.zeros((2, 3, 4, 4), np.float32)
    images[1, 0] = 1.0
    images[1, :, :, 2:] = 1.0
    black, half = looks(images)
    assert dict(zip(LOOKS, black, strict=True)) == dict(zip(LOOKS, (0, 0, 0, 0, 1, 0), strict=True))
    np.testing.assert_allclose(half, [2 / 3, 1 / 3, 1 / 4, 2 / 9, 0, 1 / 2], atol=1e-6)


def test_what_is_fitted_survives_its_record_and_strange_records_are_none(known: Familiar):
    again = Familiar.from_record(known.record())
    assert again is not None
    assert again.record() == known.record()
    sound = known.record()
    for change in (
        {"centre": [1.0]},
        {"inverse": None},
        {"farthest": "x"},
        {"farthest": math.inf},
        {"looks": ["a"]},
        {"rows": []},
    ):
        assert Familiar.from_record({**sound, **change}) is None
    assert Familiar.from_record([1]) is None
    assert Familiar.from_record(None) is None


def test_too_few_rows_tell_nothing():
    few = looks(photos(9, 0))
    assert fit(looks(photos(50, 1)), few, None) is None
    assert fit(few[:1], looks(photos(50, 1)), None) is None
