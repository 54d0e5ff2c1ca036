"""Objectives: named losses of named streams, what they own is trained along, and the plain one is cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.errors import UserError
from transfuse.fusion.connect import crown
from transfuse.reads import Read
from transfuse.registry import shelf
from transfuse.train import loop, objectives
from transfuse.train.batches import Batch, Stream
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import fit
from transfuse.train.losses import cross_entropy, mixable, task_loss
from transfuse.train.objectives import SHELF, About, objective, total
from transfuse.types import Card, Prepare, Tap

Blobs = tuple[np.ndarray, np.ndarray]
CPU = torch.device("cpu")
COMPLETE = [name for name, entry in shelf(SHELF).items() if not entry.needs and entry.traits.get("on") != "canvas"]


def test_the_task_loss_is_the_formula_for_numbers_and_for_shares() -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    for smoothing in (0.0, 0.2):
        shares = (1 - smoothing) * np.eye(4)[targets] + smoothing / 4
        wanted = -(shares * logs).sum(axis=1).mean()
        hard = cross_entropy(torch.tensor(scores), torch.tensor(targets), smoothing)
        soft = cross_entropy(torch.tensor(scores), torch.tensor(np.eye(4)[targets]), smoothing)
        assert float(hard) == pytest.approx(wanted) == float(soft)


def test_a_kind_of_task_without_a_loss_is_refused() -> None:
    with pytest.raises(UserError, match="nothing is known of training"):
        task_loss("a kind", torch.zeros(2, 3), torch.zeros(2))  # pyright: ignore[reportArgumentType]


def test_targets_become_shares_once() -> None:
    assert mixable(torch.tensor([1, 0]), 3).tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    shares = torch.tensor([[0.5, 0.5]])
    assert mixable(shares, 2) is shares


class Pulled(objectives.Objective):
    """A planted objective: the task's loss, and a trained number of its own that goes to the mean of a stream."""

    def __init__(self, about: About) -> None:
        super().__init__(about)
        self.level = nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, list[int], float]] = []
        self.progress: list[float] = []

    def weights(self, progress: float) -> Mapping[str, float]:
        self.progress.append(progress)
        return {"pull": 2.0}

    def forward(self, learner: Any, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        labelled, pool = batches["train"], batches["pool"]
        assert pool.targets is None
        self.seen.append((len(labelled.rows), pool.rows.tolist(), float(labelled.beside["teacher"][0].sum())))
        pull = (self.level - pool.inputs[0].mean()).square().mean()
        return {"task": self.about.loss(learner(labelled.inputs), labelled), "pull": pull}


@pytest.fixture
def pulled(lesson: Any, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lesson with a pool of eleven rows and a teacher, and the planted objective once it is made."""
    made: list[Pulled] = []

    def make(named: Any, about: About) -> Pulled:
        made.append(Pulled(about))
        return made[-1]

    monkeypatch.setattr(loop, "objective", make)
    pool = BlockFeed(np.arange(50, 61), [np.full((11, 5), 3.0, dtype=np.float32)], CPU)
    teacher = BlockFeed(np.arange(40), [np.arange(40, dtype=np.float32)[:, None]], CPU)
    given = replace(
        lesson(*blobs, epochs=60, batch=8),
        streams={"pool": Stream(pool, np.arange(50, 61))},
        beside={"teacher": teacher},
    )
    return given, made


def test_streams_are_fed_with_equal_batches_and_joined_row_by_row(pulled: Any, on_first: Any) -> None:
    given, made = pulled
    fitted = fit(given, on_first(lambda: nn.Linear(5, 3)), np.arange(40), held=None, rate=0.1)
    (goal,) = made
    assert {size for size, _, _ in goal.seen} == {8}
    assert all(len(rows) == 8 and set(rows) <= set(range(50, 61)) for _, rows, _ in goal.seen)
    # Every eleven draws meet each row of the pool once, and each epoch joins every teacher row once.
    drawn = [row for _, rows, _ in goal.seen for row in rows]
    assert all(len(set(drawn[start : start + 11])) == 11 for start in range(0, len(drawn) - 11, 11))
    assert sum(told for _, _, told in goal.seen[:5]) == sum(range(40))
    assert fitted.items == 60 * (40 + 40), "rows of the pool pass through the network too"


def test_what_an_objective_owns_is_trained_and_every_loss_is_told(pulled: Any, on_first: Any) -> None:
    given, made = pulled
    model = on_first(lambda: nn.Linear(5, 3))
    fitted = fit(given, model, np.arange(40), held=np.arange(8), rate=0.1)
    (goal,) = made
    assert float(goal.level.detach()) == pytest.approx(3.0, abs=0.3)
    assert not any("level" in name for name in model.state_dict())
    for point in fitted.curve:
        assert point["train"] == pytest.approx(point["train:task"] + 2 * point["train:pull"], rel=1e-5)
    assert goal.progress[0] == 0.0
    assert goal.progress == sorted(goal.progress)
    assert goal.progress[-1] < 1.0


def test_two_losses_of_one_name_are_refused_and_several_objectives_are_summed() -> None:
    about = About("multiclass", 0.0, SimpleNamespace())  # pyright: ignore[reportArgumentType]
    twice = objective([("supervised", {}), ("supervised", {})], about)
    batch = Batch(np.arange(2), [torch.zeros(2, 3)], torch.tensor([0, 1]))
    with pytest.raises(UserError, match="both call a loss 'supervised'"):
        twice(lambda inputs: inputs[0], {"train": batch})
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    assert float(total(losses, {})) == 5.0
    assert float(total(losses, {"b": 0.5})) == 3.5
    with pytest.raises(UserError, match="gave no loss"):
        total({}, {})


def learner_of(widths: tuple[int, ...], classes: int) -> OnBlocks:
    cards = {
        f"s{index}": Card(
            name=f"s{index}", spec="", origin="", sha256="", prepare=Prepare(size=8),
            taps={"vector": Tap("vector", "vector", width, "")}, class_count=classes,
        )
        for index, width in enumerate(widths)
    }  # fmt: skip
    reads = [Read(name, "vector") for name in cards]
    return OnBlocks(crown("features/gate", cards, reads, [str(number) for number in range(classes)]))


def test_a_learner_tells_its_widths_and_its_parts_are_those_of_its_answer() -> None:
    learner = learner_of((5, 3), 4)
    inputs = [torch.randn(6, 5), torch.randn(6, 3)]
    parts = learner.parts(inputs)
    assert (learner.widths, learner.width, learner.outputs) == ([5, 3], 128, 4)
    assert torch.equal(parts.logits, learner(inputs))
    assert [list(block.shape) for block in parts.blocks] == [[6, 5], [6, 3]]
    assert torch.equal(parts.logits, learner.crown.head(parts.fused))


@pytest.mark.parametrize("name", COMPLETE)
def test_every_objective_that_needs_no_other_stream_gives_finite_losses_that_reach_the_network(name: str) -> None:
    learner = learner_of((5, 3), 4)
    entry = shelf(SHELF)[name]
    goal = objective([(name, entry.settings({}))], About("multiclass", 0.1, learner))
    with torch.no_grad():
        for parameter in learner.module.parameters():
            parameter += 0.1
    inputs = [torch.randn(6, width, requires_grad=True) for width in (5, 3)]
    losses = goal(learner, {"train": Batch(np.arange(6), inputs, torch.arange(6) % 4)})
    assert losses and all(loss.dim() == 0 and bool(loss.isfinite()) for loss in losses.values())
    total(losses, goal.weights(0.5)).backward()
    assert all(block.grad is not None and bool((block.grad != 0).any()) for block in inputs)


def test_the_plain_objective_is_cross_entropy() -> None:
    learner = learner_of((5,), 3)
    goal = objective([("supervised", {})], About("multiclass", 0.1, learner))
    batch = Batch(np.arange(4), [torch.randn(4, 5)], torch.tensor([0, 1, 2, 0]))
    assert batch.targets is not None
    wanted = functional.cross_entropy(learner(batch.inputs), batch.targets, label_smoothing=0.1)
    assert torch.equal(goal(learner, {"train": batch})["supervised"], wanted)
