"""Planted faults of transferability scores: each check passes on ours and must fail on the mutant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evaluation.test_logme import noisy, oracle
from evaluation.test_ridge import sources
from transfuse.evaluation import material
from transfuse.evaluation.material import Material
from transfuse.evaluation.probes import logme_published, ridge
from transfuse.evaluation.probes.ridge import Heads
from transfuse.evaluation.scores import e_leep, h_score, leep, nce

# -- what must hold ----------------------------------------------------------------------------------------------------


def check_evidence_is_a_density(logme: Callable[[Material], Any]) -> None:
    """Where rows are fewer than columns as well."""
    for one in (noisy(20, 4, classes=2), noisy(10, 20, classes=2)):
        assert abs(logme(one) - np.mean([oracle(one, number) for number in range(2)])) < 1e-6


def check_empty_source_classes(score: Callable[[Material], Any]) -> None:
    """A source class that nothing falls into changes nothing."""
    rng = np.random.default_rng(0)
    answers, targets = rng.dirichlet(np.ones(4), 30), np.arange(30) % 3
    padded = np.column_stack([answers, np.zeros(30)])
    first, second = (score(Material(np.zeros((30, 1)), targets, 3, answers=each)) for each in (answers, padded))
    assert np.isfinite(first) and abs(first - second) < 1e-12


def check_one_hot_is_exact(score: Callable[[Material], Any]) -> None:
    """One-hot features of C classes: C − 1."""
    targets = np.repeat(np.arange(10), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert abs(score(Material(np.eye(10)[targets], targets, 10)) - 9.0) < 1e-9


def check_hard_answers_give_nce(score: Callable[[Material], Any]) -> None:
    rng = np.random.default_rng(1)
    one = Material(np.zeros((60, 1)), np.arange(60) % 3, 3, answers=np.eye(5)[rng.integers(0, 5, 60)])
    assert abs(score(one) - leep.score(one)) < 1e-9


def check_one_logarithm(together: Callable[[list[Material]], Any]) -> None:
    """Two sources that complete each other beat the mean of both by Jensen's gap, and equal ones do not."""
    targets = np.arange(40) % 2
    rng = np.random.default_rng(2)
    first, second = (Material(np.zeros((40, 1)), targets, 2, answers=rng.dirichlet([1, 1, 1], 40)) for _ in range(2))
    expected = np.log((leep.predicted(first) + leep.predicted(second)) / 2).mean()
    assert abs(together([first, second]) - expected) < 1e-12


def check_no_fold_sees_itself(heads: type[Heads]) -> None:
    """Labels without any bearing on the features are never told better than by their frequency."""
    blocks, targets, folds = sources(widths=(40,))
    labels = np.random.default_rng(3).permutation(targets)
    answer = heads(blocks, labels, 3, folds).answers([("a",)])[("a",)]
    assert answer.losses.mean() > np.log(3) - 0.01


# -- the faults --------------------------------------------------------------------------------------------------------


def without_its_columns(one: Material) -> float:
    """The published default: the log-determinant lacks (D − k) log a."""
    return logme_published.published(one.features, one.targets, "thuml")


def stopped_early(one: Material) -> float:
    """Eleven rounds, whether they sufficed or not."""
    return logme_published.published(one.features, one.targets, "icml")


def dividing_by_nothing(one: Material) -> float:
    """LEEP without a thought of empty source classes."""
    answers = np.asarray(one.answers)
    joint = np.stack([answers[one.targets == number].sum(axis=0) for number in range(one.classes)])
    with np.errstate(invalid="ignore"):
        given = joint / joint.sum(axis=0)
    return float(np.log((answers * given[one.targets]).sum(axis=1)).mean())


def fixed_cut(one: Material) -> float:
    """H-score by a pseudo-inverse that keeps eigenvalues of rounding."""
    centred = one.features - one.features.mean(axis=0)
    means = np.stack([centred[one.targets == each].mean(axis=0) for each in one.targets])
    inverse = np.linalg.pinv(np.cov(centred, rowvar=False), rcond=1e-17)
    return float(np.trace(inverse @ np.cov(means, rowvar=False)))


def smoothed(one: Material) -> float:
    """NCE with 1e-5 in every cell."""
    joint = np.full((one.classes, 5), 1e-5)
    np.add.at(joint, (one.targets, np.asarray(one.answers).argmax(axis=1)), 1 / len(one.targets))
    joint /= joint.sum()
    return float((joint * np.log(joint / joint.sum(axis=0))).sum())


def mean_of_logarithms(materials: list[Material]) -> float:
    return float(np.mean([leep.score(one) for one in materials]))


class Peeking(Heads):
    """Heads that learn from all rows, those they answer included."""

    def answers(self, sets: Any, penalties: Any = (1e-5,)) -> Any:
        everything = ridge.System(self, [])
        scores = everything.scores(sets[0], [1e-5], np.arange(len(self.targets)))[0]
        losses = ridge._losses(scores, self.targets, np.ones(1))[:, 0]
        return {sets[0]: ridge.Answer(losses, losses, losses, losses, losses)}


CASES: list[tuple[Callable[..., None], Any, list[Any]]] = [
    (check_evidence_is_a_density, lambda one: material.value("logme", one), [without_its_columns, stopped_early]),
    (check_empty_source_classes, leep.score, [dividing_by_nothing]),
    (check_one_hot_is_exact, h_score.score, [fixed_cut]),
    (check_hard_answers_give_nce, nce.score, [smoothed]),
    (check_one_logarithm, e_leep.together, [mean_of_logarithms]),
    (check_no_fold_sees_itself, Heads, [Peeking]),
]


@pytest.mark.parametrize(("check", "ours"), [(check, ours) for check, ours, _ in CASES])
def test_ours_passes(check: Callable[..., None], ours: Any) -> None:
    check(ours)


@pytest.mark.parametrize(("check", "mutant"), [(check, mutant) for check, _, mutants in CASES for mutant in mutants])
def test_the_mutant_is_caught(check: Callable[..., None], mutant: Any) -> None:
    with pytest.raises(AssertionError):
        check(mutant)
