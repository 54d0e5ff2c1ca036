"""Objectives that hear unlabelled rows: distances are those on paper, slopes turn, features of two places come near."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.registry import find
from transfuse.train.batches import Batch, Stream
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import Parts
from transfuse.train.loop import fit
from transfuse.train.objectives import SHELF, About, Objective, coral, dann, mmd, objective, total

RNG = np.random.default_rng(0)
CPU = torch.device("cpu")


class Net(nn.Module):
    """A body and a head as a learner of one block."""

    on_canvas = False

    def __init__(self, inputs: int = 6, width: int = 8, classes: int = 2) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(inputs, width), nn.Linear(width, classes)
        self.width, self.outputs = width, classes

    @property
    def module(self) -> nn.Module:
        return self

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return self.parts(inputs).logits

    def parts(self, inputs: list[Tensor]) -> Parts:
        fused = self.body(inputs[0]).tanh()
        return Parts(inputs, fused, self.head(fused))


def goal_of(name: str, model: Any, **settings: Any) -> Objective:
    return objective([(name, find(SHELF, name).settings(settings))], About("multiclass", 0.0, model))


def batches(classes: int = 2, **beside: Any) -> dict[str, Batch]:
    labelled = Batch(np.arange(9), [torch.randn(9, 6)], torch.arange(9) % classes)
    return {"train": labelled, "pool": Batch(np.arange(5), [torch.randn(5, 6)], None, beside)}


def test_coral_is_the_distance_of_numpys_covariances() -> None:
    one, other = RNG.normal(size=(11, 4)), 2 + RNG.normal(size=(7, 4)) * [1, 2, 3, 4]
    wanted = ((np.cov(one.T) - np.cov(other.T)) ** 2).sum() / (4 * 4**2)
    assert float(coral.distance(torch.tensor(one), torch.tensor(other))) == pytest.approx(wanted, rel=1e-10)
    assert float(coral.distance(torch.tensor(one), torch.tensor(one + 3))) == pytest.approx(0.0, abs=1e-20)
    assert float(coral.distance(torch.ones(1, 3), torch.zeros(1, 3))) == 0.0


def test_mmd_is_the_sum_over_pairs_on_paper() -> None:
    one, other = RNG.normal(size=(5, 3)), 1 + RNG.normal(size=(4, 3))
    rows = np.concatenate([one, other])
    unit = np.mean([[((a - b) ** 2).sum() for b in rows] for a in rows])

    def kernel(first: np.ndarray, second: np.ndarray) -> float:
        far = [((a - b) ** 2).sum() / unit for a in first for b in second]
        return float(np.mean([[np.exp(-each / scale) for scale in mmd.SCALES] for each in far]))

    wanted = kernel(one, one) + kernel(other, other) - 2 * kernel(one, other)
    assert float(mmd.discrepancy(torch.tensor(one), torch.tensor(other))) == pytest.approx(wanted, rel=1e-10)
    same = torch.tensor(one)
    assert float(mmd.discrepancy(same, same)) == pytest.approx(0.0, abs=1e-12)
    assert float(mmd.discrepancy(torch.ones(3, 2), torch.ones(2, 2))) == 0.0


def test_the_slope_of_the_domains_is_turned_for_features_and_not_for_who_tells_them_apart() -> None:
    model, given = Net(), batches()
    goal = goal_of("dann", model, pull=2.0)
    assert goal.weights(0.5) == {}
    share = 2.0 * (2 / (1 + np.exp(-5.0)) - 1)
    parameters = [*model.body.parameters(), *goal.parameters()]
    turned = torch.autograd.grad(goal(model, given)["domains"], parameters)  # pyright: ignore[reportArgumentType]
    rows = torch.cat([model.parts(given[name].inputs).fused for name in ("train", "pool")])
    told = goal.tell(rows)[:, 0]  # pyright: ignore
    plain = functional.binary_cross_entropy_with_logits(told, torch.tensor([0.0] * 9 + [1.0] * 5))
    for mine, straight, features in zip(
        turned, torch.autograd.grad(plain, parameters), [True] * 2 + [False] * 4, strict=True
    ):
        torch.testing.assert_close(mine, -share * straight if features else straight)
    goal.weights(0.0)
    first = torch.autograd.grad(goal(model, given)["domains"], list(model.body.parameters()))  # pyright: ignore
    assert all(bool((slope == 0).all()) for slope in first)
    assert isinstance(goal, dann.Objective) and goal.tell[0].in_features == model.width


def test_only_what_somebody_is_sure_of_is_learned_and_the_label_itself_has_no_slope() -> None:
    model = Net()
    said = torch.tensor([[0.95, 0.05], [0.4, 0.6], [0.08, 0.92], [0.5, 0.5], [0.89, 0.11]])
    given = batches(teacher=[said.log()])
    about = About("multiclass", 0.0, model, beside={"teacher": [said.log()]})  # pyright: ignore[reportArgumentType]
    goal = objective([("pseudo_labels", find(SHELF, "pseudo_labels").settings({"sure": 0.9}))], about)
    with torch.no_grad():
        losses = goal(model, given)  # pyright: ignore[reportArgumentType]
        logs = model(given["pool"].inputs).log_softmax(dim=1)
    assert float(losses["pseudo"]) == pytest.approx(float(-(logs[0, 0] + logs[2, 1]) / 5), rel=1e-6)
    assert goal.weights(0.0) == {"pseudo": 1.0}
    alone = goal_of("pseudo_labels", model, sure=0.0)
    assert [alone.weights(share)["pseudo"] for share in (0.0, 0.25, 0.5, 0.9)] == [0.0, 0.5, 1.0, 1.0]
    own = batches()
    scores = model(own["pool"].inputs)
    wanted = torch.autograd.grad(functional.cross_entropy(scores, scores.argmax(dim=1)), model.head.weight)
    mine = torch.autograd.grad(alone(model, own)["pseudo"], model.head.weight)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(mine, wanted)
    with torch.no_grad():
        nobody = goal_of("pseudo_labels", model, sure=1.0)(model, own)  # pyright: ignore[reportArgumentType]
    assert float(nobody["pseudo"]) == 0.0


def elsewhere(lesson: Any, name: str, **settings: Any) -> tuple[dict[str, float], float]:
    """Two places with one law for the class, the second one shifted and wider in three columns that tell nothing of it:
    how far apart the features end, by either distance, and the accuracy there."""
    rng = np.random.default_rng(3)
    targets = np.arange(600) % 2
    x = rng.normal(size=(600, 6)).astype(np.float32)
    x[:, 0] += 3.0 * targets - 1.5
    x[300:, 3:] = 2.0 * x[300:, 3:] + 2.0
    goal = ((name, find(SHELF, name).settings(settings)),)
    torch.manual_seed(0)
    model = Net()
    given = lesson(x, targets, epochs=60, batch=64, weight_decay=0.0, objective=goal)
    pool = Stream(BlockFeed(np.arange(300, 600), [x[300:]], CPU), np.arange(300, 600))
    streams = {} if name == "supervised" else {"pool": pool}
    fit(replace(given, streams=streams), model, np.arange(300), held=None, rate=0.04)
    with torch.no_grad():
        here, there = (model.parts([torch.tensor(part)]) for part in (x[:300], x[300:]))
    right = (there.logits.argmax(dim=1).numpy() == targets[300:]).mean()
    apart = {"coral": coral.distance(here.fused, there.fused), "mmd": mmd.discrepancy(here.fused, there.fused)}
    return {name: float(each) for name, each in apart.items()}, float(right)


def test_features_of_two_places_grow_alike_and_answers_there_improve(lesson: Any) -> None:
    far, right = elsewhere(lesson, "supervised")
    for name, distance, pull in (("coral", "coral", 30.0), ("mmd", "mmd", 3.0), ("dann", "mmd", 3.0)):
        near, better = elsewhere(lesson, name, pull=pull)
        assert near[distance] < 0.6 * far[distance], (name, near, far)
        assert better > right - 0.02, (name, better, right)


@pytest.mark.parametrize("name", ["coral", "mmd", "dann", "pseudo_labels"])
def test_every_loss_is_finite_and_reaches_the_network(name: str) -> None:
    model, given = Net(), batches()
    goal = goal_of(name, model)
    goal.weights(0.9)
    losses = goal(model, given)  # pyright: ignore[reportArgumentType]
    total(losses, goal.weights(0.9)).backward()
    assert all(bool(loss.isfinite()) for loss in losses.values())
    assert model.body.weight.grad is not None and bool((model.body.weight.grad != 0).any())
