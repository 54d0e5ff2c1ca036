"""Predictions from elsewhere are held against answering without looking, and labels that mean nothing are found out."""

from __future__ import annotations

import numpy as np
import pytest

from transfuse.evaluation.elsewhere.door import evaluate
from transfuse.evaluation.frequencies import answer, with_prior
from transfuse.evaluation.questions import prior
from transfuse.evaluation.verdict import Judgement


def guesses(rng: np.random.Generator, count: int, classes: int) -> np.ndarray:
    return rng.dirichlet(np.ones(classes), count)


def flags(found: Judgement) -> list[str]:
    return [flag.flag for flag in found.verdict.flags]


def test_the_answer_counts_and_leaves_nothing_impossible():
    assert answer(np.array([0, 0, 1]), "multiclass", 3) == pytest.approx(np.array([3, 2, 1]) / 6)
    assert answer(np.array([[1, 0], [1, 0]]), "multilabel", 2) == pytest.approx([0.75, 0.25])
    assert answer(np.array([[1.0], [3.0]]), "regression", 1) == pytest.approx([2.0])


@pytest.mark.parametrize(("count", "classes"), [(12, 3), (400, 5), (60, 1000)])
def test_guesses_are_flagged(count, classes):
    rng = np.random.default_rng(count)
    labels = rng.integers(0, classes, count)
    found = evaluate({name: guesses(rng, count, classes) for name in "abc"}, labels)
    assert flags(found) == ["no_better_than_prior"]
    assert "the class frequencies of the judged rows" in found.verdict.flags[0].why


def test_what_knows_something_is_not_flagged():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 60)
    one = np.eye(3)[labels] * 0.5 + guesses(rng, 60, 3) * 0.5
    assert flags(evaluate({"a": one, "b": guesses(rng, 60, 3)}, labels)) == []


def test_numbers_and_labels_are_held_against_their_means():
    rng = np.random.default_rng(2)
    true = rng.normal(size=50)
    assert flags(evaluate({"a": rng.normal(size=50)}, true, kind="regression")) == ["no_better_than_prior"]
    assert flags(evaluate({"a": true + 0.1 * rng.normal(size=50)}, true, kind="regression")) == []
    labels = rng.integers(0, 2, (50, 3))
    found = evaluate({"a": rng.random((50, 3))}, labels, kind="multilabel", scale="probability")
    assert flags(found) == ["no_better_than_prior"]


def test_no_row_answers_for_itself():
    """Each fold's frequencies are those of the other folds: of ten rows with ten labels none knows its own."""
    found = evaluate({"a": np.full((10, 10), 0.1)}, np.arange(10))
    held = with_prior(found.case)
    assert held is not None
    probs = held.tables["prior"].probs[0]
    assert (probs[np.arange(10), np.arange(10)] < probs.max(axis=1)).all()


def test_scores_of_anything_have_no_frequencies():
    found = evaluate({"a": np.arange(9.0), "b": np.ones(9)})
    assert with_prior(found.case) is None and prior.ask(found.case) == []
