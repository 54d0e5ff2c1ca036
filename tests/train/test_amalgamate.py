"""Amalgamation and pools: every teacher is heard as far as it knows, rows without labels as rows with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp

from transfuse.errors import UserError
from transfuse.schedules import schedule
from transfuse.train.batches import Batch, Stream
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import Lesson, fit, score
from transfuse.train.objectives import About, objective

RNG = np.random.default_rng(0)
KNOWN = torch.tensor([[True, True, False, False], [False, False, True, True]])
TARGETS = torch.tensor([0, 1, 2, 3, 1])


def learner(inputs):
    return inputs[0]


def goal(name: str = "amalgamate", **settings):
    return objective([(name, {"temperature": 2.0, "hard": 0.25, **settings})], About("multiclass", 0.0, learner))  # pyright: ignore


def batch(scores, given, known=KNOWN, targets=TARGETS) -> Batch:
    beside = {"teacher": [torch.tensor(each) for each in given], "known": [known]}
    return Batch(np.arange(len(scores)), [torch.tensor(scores)], targets, beside)


def coarse(scores: np.ndarray, own: np.ndarray) -> np.ndarray:
    each = log_softmax(scores, axis=1)
    return np.concatenate([each[:, own], logsumexp(each[:, ~own], axis=1, keepdims=True)], axis=1)


def test_the_loss_is_the_divergence_of_what_each_teacher_can_tell():
    scores, given = RNG.normal(size=(5, 4)), log_softmax(2 * RNG.normal(size=(2, 5, 4)), axis=2)
    found = goal()(learner, {"train": batch(scores, given)})
    wanted = 0.0
    for teacher, own in zip(given, KNOWN.numpy(), strict=True):
        q, s = coarse(teacher / 2.0, own), coarse(scores / 2.0, own)
        wanted += (np.exp(q) * (q - s)).sum(axis=1).mean()
    assert float(found["teacher"]) == pytest.approx(4.0 * wanted / 2, rel=1e-5)
    assert goal().weights(0.5) == {"labels": 0.25, "teacher": 0.75}


def test_what_a_teacher_says_of_others_classes_one_by_one_is_not_heard():
    scores, given = RNG.normal(size=(5, 4)), log_softmax(RNG.normal(size=(1, 5, 4)), axis=2)
    swapped = given[:, :, [0, 1, 3, 2]]
    losses = [
        float(goal(temperature=1.0)(learner, {"train": batch(scores, each, KNOWN[:1])})["teacher"])
        for each in (given, swapped)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("hard", [0.0, 0.5])
def test_one_teacher_of_all_classes_makes_it_distil(hard):
    scores, given = RNG.normal(size=(5, 4)), log_softmax(RNG.normal(size=(1, 5, 4)), axis=2)
    told = {"train": batch(scores, given, torch.ones(1, 4, dtype=torch.bool))}
    first = goal(hard=hard)(learner, told)
    second = goal("distil", hard=hard, teachers="mean")(learner, told)
    assert float(first["teacher"]) == pytest.approx(float(second["teacher"]), rel=1e-5)


@pytest.mark.parametrize("name", ["distil", "amalgamate"])
def test_rows_without_labels_count_as_rows_with_labels(name):
    more = {"teachers": "mean"} if name == "distil" else {}
    scores, given = RNG.normal(size=(8, 4)), log_softmax(RNG.normal(size=(2, 8, 4)), axis=2)
    whole = goal(name, **more)(learner, {"train": batch(scores, given, targets=torch.tensor([0] * 8))})
    parts = {"train": batch(scores[:5], given[:, :5]), "pool": batch(scores[5:], given[:, 5:], targets=None)}
    assert float(goal(name, **more)(learner, parts)["teacher"]) == pytest.approx(float(whole["teacher"]), rel=1e-5)


def test_confidence_needs_labels():
    given = log_softmax(RNG.normal(size=(2, 5, 4)), axis=2)
    told = {"train": batch(RNG.normal(size=(5, 4)), given), "pool": batch(RNG.normal(size=(5, 4)), given, targets=None)}
    with pytest.raises(UserError, match="on labelled rows only"):
        goal("distil", teachers="confidence")(learner, told)


class Head(torch.nn.Module):
    """A linear head in the crown's clothes."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(4, 4)

    def forward(self, blocks):
        return self.head(blocks[0])


def test_a_student_learns_all_classes_from_two_halves_and_no_label():
    """Rows of a pool teach what its few labelled rows, whose labels it does not hear, cannot."""
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 4, 400)
    inputs = (np.eye(4)[targets] + 0.25 * rng.normal(size=(400, 4))).astype(np.float32)
    whole = np.log(np.full((2, 400, 4), 0.02) + 0.92 * np.eye(4)[targets])
    cpu = torch.device("cpu")
    feed, known = BlockFeed(np.arange(400), [inputs], cpu), KNOWN

    class Said:
        def batch(self, rows):
            return [known]

    beside = {"teacher": BlockFeed(np.arange(400), [*whole.astype(np.float32)], cpu), "known": Said()}
    facts = {"objective": "amalgamate", "hard": 0.0, "epochs": 60, "batch": 8, "rates": [0.1], "weight_decay": 0.01}
    plan = schedule(facts, where="test")

    def taught(streams):
        torch.manual_seed(0)
        model = Head()
        lesson = Lesson(OnBlocks, feed, np.zeros(400, dtype=int), plan, 0, classes=4, beside=beside, streams=streams)
        found = fit(lesson, model, np.arange(4), held=None, rate=0.1)
        return (score(lesson, model, np.arange(200, 400)).argmax(axis=1) == targets[200:]).mean(), found.items

    alone, few = taught({})
    pooled, many = taught({"pool": Stream(feed, np.arange(4, 200), None, beside)})
    assert pooled > 0.9 > alone + 0.05
    assert (few, many) == (60 * 4, 60 * 8)
