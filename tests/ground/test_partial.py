"""Who knows some of the classes answers over all of them, calibrated, and is heard about nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from transfuse import partial

HALVES = np.array([[True, True, True, False, False, False], [False, False, False, True, True, True]])


def answers(seed: int, count: int = 600):
    """Two experts, one for each half of six classes: logits over their own three columns, sure of rows of theirs."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 6, count)
    logits = rng.normal(size=(2, count, 3))
    for number in range(2):
        mine = targets // 3 == number
        logits[number, mine, targets[mine] % 3] += 4.0
    return logits, targets


def grouped(logits: np.ndarray, number: int, scale: str = "logit"):
    columns = [3 * number + place for place in range(3)]
    return partial.grouped(logits, columns, 6, scale)


def completed(seed: int):
    logits, targets = answers(seed)
    fold = np.random.default_rng(seed).integers(0, 5, len(targets))
    each = [
        partial.crossfitted(*grouped(logits[number], number), HALVES[number], targets, fold)[0] for number in range(2)
    ]
    return np.stack(each), targets


def loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(targets)), targets]).mean())


def test_several_own_columns_of_one_class_are_added_up_and_logits_are_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 4))
    q, evidence = partial.grouped(logits, [0, 2, 0, -1], 3, "logit")
    shares = softmax(logits, axis=1)
    wanted = np.stack([shares[:, 0] + shares[:, 2], np.zeros(5), shares[:, 1]], axis=1)
    assert np.allclose(q, wanted / wanted.sum(axis=1, keepdims=True))
    inside = wanted.sum(axis=1)
    assert np.allclose(evidence[:, 1], np.log(inside / (1 - inside)))
    again, told = partial.grouped(shares, [0, 2, 0, -1], 3, "probability")
    assert np.allclose(again, q) and np.allclose(told[:, :2], evidence[:, :2])


def test_where_nothing_is_said_of_own_classes_they_are_equal():
    q, evidence = partial.grouped(np.array([[0.0, 0.0, 1.0]]), [0, 1, -1], 3, "probability")
    assert np.allclose(q, [[0.5, 0.5, 0.0]]) and np.isfinite(evidence).all()


def test_the_opening_is_the_penalised_maximum_likelihood():
    rng = np.random.default_rng(1)
    evidence = rng.normal(size=(300, 3)) * [1.0, 3.0, 0.0] + [0.0, 5.0, 2.0]
    inside = rng.random(300) < expit(evidence[:, 0] - evidence[:, 1] + 5)
    found = partial.fit_opening(evidence, inside)
    assert found.shape == (partial.OPENING,) and np.isfinite(found).all()
    share = (inside.sum() + 0.5) / 301
    start = np.array([0, 0, 0, np.log(share / (1 - share))])

    def penalised(parameters: np.ndarray) -> float:
        chance = expit(((evidence - found[4:7]) * found[7:]) @ parameters[:3] + parameters[3])
        said = np.log(np.where(inside, chance, 1 - chance)).mean()
        return -said + partial.PULL * np.square(parameters - start).sum()

    assert found[0] > 0 > found[1] and found[2] == 0
    # The loss is convex: where no step of any kind lowers it, it is least.
    least = penalised(found[:4])
    assert all(penalised(found[:4] + step) > least for step in 0.02 * np.concatenate([np.eye(4), -np.eye(4)]))


def test_rows_of_one_kind_only_give_their_share_and_no_certainty():
    found = partial.fit_opening(np.random.default_rng(2).normal(size=(9, 3)), np.ones(9, dtype=bool))
    assert expit(found[3]) == pytest.approx(9.5 / 10)


def test_completed_answers_are_calibrated_over_all_classes():
    each, targets = completed(3)
    assert np.allclose(each.sum(axis=2), 1.0)
    for number, one in enumerate(each):
        inside = one[:, HALVES[number]].sum(axis=1)
        truth = HALVES[number][targets]
        assert inside[truth].mean() > 0.8 > 0.2 > inside[~truth].mean()
        assert inside.mean() == pytest.approx(truth.mean(), abs=0.03)
        assert loss(one, targets) < np.log(6)


def test_an_opening_never_saw_its_own_fold():
    logits, targets = answers(4, 100)
    fold = np.arange(100) % 5
    before, _ = partial.crossfitted(*grouped(logits[0], 0), HALVES[0], targets, fold)
    moved = targets.copy()
    moved[0] = (moved[0] + 3) % 6
    after, _ = partial.crossfitted(*grouped(logits[0], 0), HALVES[0], moved, fold)
    assert np.array_equal(before[fold == 0], after[fold == 0]) and not np.array_equal(before, after)


def test_two_halves_together_know_what_neither_knows():
    each, targets = completed(5)
    together = partial.shared(each, HALVES).mean(axis=0)
    assert loss(together, targets) < loss(each.mean(axis=0), targets) - 0.01
    right = [(one.argmax(axis=1) == targets).mean() for one in (*each, together)]
    assert right[2] > 0.9 and max(right[:2]) < 0.75


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_sharing_keeps_sums_and_own_words_and_leaves_who_knows_all_alone(seed, members):
    rng = np.random.default_rng(seed)
    known = rng.random((members, 5)) < 0.6
    known[:, 0] = True
    given_rows = rng.dirichlet(np.ones(5), (members, 7))
    found = partial.shared(given_rows, known)
    assert np.allclose(found.sum(axis=2), 1.0) and (found >= 0).all()
    for number in range(members):
        assert np.array_equal(found[number][:, known[number]], given_rows[number][:, known[number]])
        if known[number].all():
            assert np.array_equal(found[number], given_rows[number])


def test_of_a_class_that_it_does_not_know_a_member_says_what_others_say():
    members = np.array([[[0.6, 0.2, 0.2]], [[0.3, 0.6, 0.1]]])
    found = partial.shared(members, np.array([[True, False, False], [True, True, True]]))
    assert np.allclose(found[0], [[0.6, 0.4 * 6 / 7, 0.4 / 7]])
    nobody = partial.shared(members[:1], np.array([[True, False, False]]))
    assert np.allclose(nobody, members[:1])
