"""Adversarial objectives: the worst nearby input of a linear head is known, nothing else moves, it makes robust."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import Tensor, nn
from torch.nn import functional

from transfuse.errors import UserError
from transfuse.registry import find
from transfuse.train.batches import Batch
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import Parts
from transfuse.train.loop import DivergedError, fit
from transfuse.train.objectives import SHELF, About, Objective, objective
from transfuse.train.objectives._adversary import Near
from transfuse.train.objectives.trades import divergence

NAMES = ("adversarial", "trades", "distil_robust")
RNG = np.random.default_rng(0)


class Net(nn.Module):
    """Any layers as a learner of one block, or of canvases."""

    def __init__(self, *layers: nn.Module, canvas: bool = False) -> None:
        super().__init__()
        self.layers, self.on_canvas = nn.Sequential(*layers), canvas

    @property
    def module(self) -> nn.Module:
        return self.layers

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return self.layers(inputs[0])

    def parts(self, inputs: list[Tensor]) -> Parts:
        return Parts(inputs, inputs[0], self(inputs))


def goal_of(name: str, model: Any, **settings: Any) -> Objective:
    return objective([(name, find(SHELF, name).settings(settings))], About("multiclass", 0.0, model))


def told(inputs: Tensor, classes: int = 2) -> Batch:
    targets = torch.arange(len(inputs)) % classes
    return Batch(
        np.arange(len(inputs)), [inputs], targets, {"teacher": [torch.randn(len(inputs), classes).log_softmax(1)]}
    )


def corner(model: Net, batch: Batch, radius: float, canvas: bool) -> Tensor:
    """x + r sign(w_other − w_true): where two classes' cross-entropy of a linear head is greatest in the box."""
    (linear,) = model.layers
    assert isinstance(linear, nn.Linear) and batch.targets is not None
    x = batch.inputs[0]
    towards = (linear.weight[1 - batch.targets] - linear.weight[batch.targets]).sign()
    unit = 1.0 if canvas else float(x.var(dim=0, unbiased=False).mean().sqrt())
    found = x + radius * unit * towards
    return found.clamp(0, 1) if canvas else found


@pytest.mark.parametrize("canvas", [False, True])
@pytest.mark.parametrize("steps", [1, 5])
def test_the_worst_input_of_a_linear_head_is_the_corner_on_paper(canvas: bool, steps: int) -> None:
    model = Net(nn.Linear(4, 2), canvas=canvas)
    batch = told(torch.rand(9, 4))
    goal = goal_of("adversarial", model, radius=0.2, steps=steps, clean=0.25)
    assert batch.targets is not None
    losses = {name: loss.detach() for name, loss in goal(model, {"train": batch}).items()}
    if steps > 1:  # One step from a random start may stop short of the corner.
        wanted = functional.cross_entropy(model([corner(model, batch, 0.2, canvas)]), batch.targets)
        assert float(losses["adversarial"]) == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert float(losses["adversarial"]) > float(losses["labels"])
    plain = functional.cross_entropy(model(batch.inputs), batch.targets)
    assert float(losses["labels"]) == pytest.approx(float(plain.detach()))
    assert goal.weights(0.5) == {"labels": 0.25, "adversarial": 0.75}


@pytest.mark.parametrize("canvas", [False, True])
def test_changed_inputs_stay_in_the_ball_and_a_canvas_stays_one(canvas: bool) -> None:
    model = Net(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), canvas=canvas)
    x = torch.rand(16, 4)
    targets = torch.arange(16) % 3
    for radius in (0.0, 0.1, 3.0):
        near = Near(radius, 4)
        unit = 1.0 if canvas else float(x.var(dim=0, unbiased=False).mean().sqrt())
        (found,) = near.worst(model, [x], near.anywhere(model, [x]), lambda s: functional.cross_entropy(s, targets))  # pyright: ignore
        assert float((found - x).abs().max()) <= radius * unit + 1e-6
        assert not canvas or (float(found.min()) >= 0 and float(found.max()) <= 1)


def test_the_search_moves_no_statistic_leaves_no_gradient_and_changes_no_mode() -> None:
    model = Net(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2)).train()
    model.layers[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    near = Near(0.5, 3)
    near.worst(model, [torch.rand(5, 4)], [torch.rand(5, 4)], lambda scores: scores.square().sum())  # pyright: ignore
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [part.training for part in model.layers] == [True, False, True, True]


def test_trades_is_the_divergence_on_paper_and_nothing_where_nothing_moves() -> None:
    one, other = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))
    shares = softmax(one, axis=1)
    wanted = (shares * (log_softmax(one, axis=1) - log_softmax(other, axis=1))).sum(axis=1).mean()
    assert float(divergence(torch.tensor(one), torch.tensor(other))) == pytest.approx(wanted)
    model = Net(nn.Linear(4, 2))
    batch = told(torch.rand(9, 4))
    with torch.no_grad():
        still = goal_of("trades", model, radius=0.0)(model, {"train": batch})
        moved = goal_of("trades", model, radius=1.0)(model, {"train": batch})
    assert float(still["trades"]) == pytest.approx(0.0, abs=1e-6)
    assert float(moved["trades"]) > 1e-3
    assert float(moved["labels"]) == float(still["labels"])
    # The farthest answers of a linear head of two classes are at one of two opposite corners.
    (linear,) = model.layers
    unit = float(batch.inputs[0].var(dim=0, unbiased=False).mean().sqrt())
    along = unit * (linear.weight[1] - linear.weight[0]).sign().detach()  # pyright: ignore
    scores = model(batch.inputs)
    ends = [
        functional.kl_div(model([batch.inputs[0] + sign * along]).log_softmax(1), scores.softmax(1), reduction="none")
        for sign in (1, -1)
    ]
    assert float(moved["trades"]) <= float(torch.maximum(*(end.sum(1) for end in ends)).mean().detach()) + 1e-5


def test_robust_distillation_hears_the_teacher_on_the_unchanged_rows() -> None:
    model = Net(nn.Linear(4, 2))
    batch = told(torch.rand(9, 4))
    with torch.no_grad():
        found = goal_of("distil_robust", model, radius=0.3, steps=5, temperature=2.0)(model, {"train": batch})
    student = log_softmax(model([corner(model, batch, 0.3, False)]).detach().double().numpy() / 2.0, axis=1)
    teacher = softmax(batch.beside["teacher"][0].double().numpy() / 2.0, axis=1)
    wanted = 4.0 * (teacher * (np.log(teacher) - student)).sum(axis=1).mean()
    assert float(found["teacher"]) == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(UserError, match="needs a teacher"):
        goal_of("distil_robust", model)(model, {"train": replace(batch, beside={})})


def learned(lesson: Any, name: str, **settings: Any) -> tuple[float, float, int]:
    """Accuracy as it is and at the worst corner, of a linear head on one strong and forty faint features."""
    rng = np.random.default_rng(1)
    targets = np.arange(400) % 2
    sign = 2.0 * targets[:, None] - 1
    x = np.concatenate(
        [sign + 0.35 * rng.normal(size=(400, 1)), 0.25 * sign + 0.6 * rng.normal(size=(400, 40))], axis=1
    )
    torch.manual_seed(0)
    model = Net(nn.Linear(41, 2))
    goal = ((name, find(SHELF, name).settings(settings)),)
    given = lesson(x, targets, epochs=40, batch=64, weight_decay=0.0, objective=goal)
    said = np.log(np.where(sign > 0, [[0.1, 0.9]], [[0.9, 0.1]])).astype(np.float32)
    given = replace(given, beside={"teacher": BlockFeed(np.arange(400), [said], torch.device("cpu"))})
    fitted = fit(given, model, np.arange(400), held=None, rate=0.02)
    batch = Batch(np.arange(400), [torch.tensor(x, dtype=torch.float32)], torch.tensor(targets))
    scores = [model(inputs) for inputs in (batch.inputs, [corner(model, batch, 0.6, False)])]
    clean, worst = (float((found.argmax(dim=1) == batch.targets).float().mean()) for found in scores)
    return clean, worst, fitted.items


def test_robustness_is_learned_and_its_passes_are_counted(lesson: Any) -> None:
    clean, worst, items = learned(lesson, "supervised")
    assert clean > 0.97
    assert items == 40 * 400
    for name in NAMES:
        _, better, more = learned(lesson, name, radius=0.6, steps=3)
        assert better > worst + 0.15, (name, better, worst)
        assert more == items * (4 if name == "adversarial" else 5)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_meets_what_is_no_number_ends_the_fit(lesson: Any, name: str) -> None:
    class Breaking(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + (x - x).sqrt()  # its slope is infinite

    goal = ((name, find(SHELF, name).settings({})),)
    given = lesson(RNG.normal(size=(12, 3)), np.arange(12) % 3, objective=goal)
    teacher = BlockFeed(np.arange(12), [np.full((12, 3), np.log(1 / 3), dtype=np.float32)], torch.device("cpu"))
    with pytest.raises(DivergedError, match="loss became nan"):
        fit(
            replace(given, beside={"teacher": teacher}),
            Net(Breaking(), nn.Linear(3, 3)),
            np.arange(12),
            held=None,
            rate=0.1,
        )
