"""Distillation: the losses are the published formulas, their gradient is known, teachers are weighed as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.schedules import schedule
from transfuse.train.batches import Batch
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import Parts
from transfuse.train.loop import Lesson, fit
from transfuse.train.objectives import About, Objective, objective

RNG = np.random.default_rng(0)
TARGETS = np.array([0, 2, 1, 2, 0, 1, 1])
DISTIL = {"temperature": 3.0, "hard": 0.25, "teachers": "mean"}


class Linear(nn.Module):
    """A linear head as a learner: the fused block is its input."""

    def __init__(self, width: int = 4, outputs: int = 3) -> None:
        super().__init__()
        self.head = nn.Linear(width, outputs)
        self.module, self.width = None, width

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return self.head(inputs[0])

    def parts(self, inputs: list[Tensor]) -> Parts:
        return Parts(inputs, inputs[0], self.head(inputs[0]))


def teachers(count: int, classes: int = 3) -> list[Tensor]:
    return [torch.from_numpy(log_softmax(RNG.normal(size=(7, classes)) * 3, axis=1)).float() for _ in range(count)]


def batch(given: list[Tensor], name: str = "teacher") -> Batch:
    inputs = torch.from_numpy(RNG.normal(size=(7, 4))).float()
    return Batch(np.arange(7), [inputs], torch.from_numpy(TARGETS), {name: given})


def distil(model: Linear, **settings) -> Objective:
    return objective([("distil", {**DISTIL, **settings})], About("multiclass", 0.0, model))  # pyright: ignore


def test_both_losses_are_the_formulas() -> None:
    model, given = Linear(), teachers(2)
    told = batch(given)
    losses = {name: float(loss.detach()) for name, loss in distil(model)(model, {"train": told}).items()}  # pyright: ignore
    scores = model(told.inputs).detach().double().numpy()
    soft = np.mean([softmax(each.double().numpy() / 3.0, axis=1) for each in given], axis=0)
    apart = (soft * (np.log(soft) - log_softmax(scores / 3.0, axis=1))).sum(axis=1).mean()
    assert losses["teacher"] == pytest.approx(9.0 * apart, rel=1e-5)
    assert losses["labels"] == pytest.approx(-log_softmax(scores, axis=1)[np.arange(7), TARGETS].mean(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_the_gradient_at_a_linear_head_is_the_one_on_paper(temperature) -> None:
    """d/dW = mean of [hard (softmax(z) − y) + (1 − hard) τ (softmax(z/τ) − q)] xᵀ."""
    model, given = Linear(), teachers(1)
    told, goal = batch(given), distil(model, temperature=temperature)
    losses, weights = goal(model, {"train": told}), goal.weights(0.3)  # pyright: ignore[reportArgumentType]
    sum((losses[name] * weights[name] for name in losses), torch.zeros(())).backward()
    scores, inputs = model(told.inputs).detach().numpy(), told.inputs[0].numpy()
    soft = softmax(given[0].numpy() / temperature, axis=1)
    hard_part = softmax(scores, axis=1) - np.eye(3)[TARGETS]
    soft_part = temperature * (softmax(scores / temperature, axis=1) - soft)
    wanted = (0.25 * hard_part + 0.75 * soft_part).T @ inputs / 7
    assert model.head.weight.grad is not None
    np.testing.assert_allclose(model.head.weight.grad.numpy(), wanted, atol=1e-5)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn_from_it() -> None:
    model = Linear()
    told = batch([])
    same = Batch(told.rows, told.inputs, told.targets, {"teacher": [model(told.inputs).detach() + 5.0]})
    loss = distil(model)(model, {"train": same})["teacher"]  # pyright: ignore[reportArgumentType]
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-5)


def test_the_teacher_that_is_wrong_about_a_row_says_less_of_it() -> None:
    model, goal = Linear(), distil(Linear(), teachers="confidence")
    given = torch.stack(teachers(3))
    shares = goal._shares(given, torch.from_numpy(TARGETS)).numpy()  # pyright: ignore[reportCallIssue]
    loss = -given.numpy()[:, np.arange(7), TARGETS]
    np.testing.assert_allclose(shares, (1 - softmax(loss, axis=0)) / 2, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-6)
    assert (shares.argmin(axis=0) == loss.argmax(axis=0)).all()
    one = goal._shares(given[:1], torch.from_numpy(TARGETS))  # pyright: ignore[reportCallIssue]
    assert one.tolist() == [[1.0] * 7]
    assert model.width == 4


def test_features_count_in_their_own_units_whatever_the_teachers_scale_and_width() -> None:
    model = Linear()
    given = [torch.from_numpy(RNG.normal(2.0, 1000.0, size=(7, 5))).float(), torch.from_numpy(RNG.normal(size=(7, 2)))]
    given[1][:, 1] = 4.0
    about = About("multiclass", 0.0, model, beside={"teacher_features": given})  # pyright: ignore[reportArgumentType]
    torch.manual_seed(0)
    goal = objective([("distil_features", {"features": 0.5})], about)
    told = batch(given, "teacher_features")
    loss = float(goal(model, {"train": told})["features"].detach())  # pyright: ignore[reportArgumentType]
    errors = []
    for number, each in enumerate(given):
        values = each.double().numpy()
        spread = values.std(axis=0)
        moves = spread > 1e-6
        wanted = np.where(moves, (values - values.mean(axis=0)) / np.where(moves, spread, 1.0), 0.0)
        said = goal.heads[number](told.inputs[0]).detach().numpy()  # pyright: ignore
        errors.append((((said - wanted) * moves) ** 2).mean())
    assert loss == pytest.approx(np.mean(errors), rel=1e-4)
    assert loss < 10
    assert goal.weights(0.0) == {"features": 0.5}


def test_training_joins_teachers_by_row_and_brings_a_student_near_its_teacher(one_thread) -> None:
    rows = RNG.permutation(60)
    inputs = RNG.normal(size=(60, 4)).astype(np.float32)
    answers = log_softmax(inputs @ RNG.normal(size=(4, 3)) * 2, axis=1).astype(np.float32)
    order = np.argsort(rows)
    lesson = Lesson(
        forward=lambda model: model,  # pyright: ignore[reportArgumentType]
        feed=BlockFeed(rows, [inputs[order][rows]], torch.device("cpu")),
        targets=np.zeros(60, dtype=np.int64),
        schedule=schedule(
            {"epochs": 60, "batch": 20, "weight_decay": 0.0, "objective": "distil", "hard": 0.0}, where="test"
        ),
        seed=0,
        beside={"teacher": BlockFeed(rows, [answers[order][rows]], torch.device("cpu"))},
    )
    model = Linear()
    fit(lesson, model, np.arange(60), held=None, rate=0.1)
    said = model([torch.from_numpy(inputs[order])]).detach().log_softmax(dim=1).numpy()
    assert np.abs(np.exp(said) - np.exp(answers[order])).mean() < 0.02


def test_what_is_missing_or_does_not_fit_is_refused() -> None:
    model = Linear()
    with pytest.raises(UserError, match="needs a teacher's scores"):
        distil(model)(model, {"train": batch([])})  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match="other classes"):
        distil(model)(model, {"train": batch(teachers(1, classes=5))})  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match="needs a teacher's features"):
        objective([("distil_features", {"features": 1.0})], About("multiclass", 0.0, model))  # pyright: ignore
