"""Every branch's own answer: auxiliary heads reach their branch alone, blended weights are the published ratio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from transfuse.fusion.connect import crown
from transfuse.reads import Read
from transfuse.schedules import schedule
from transfuse.seeds import stream
from transfuse.train.batches import Batch
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import Lesson, fit
from transfuse.train.objectives import About, objective
from transfuse.train.objectives.gradient_blend import SMALLEST_GROWTH, blended
from transfuse.types import Card, Prepare, Tap

CPU = torch.device("cpu")


def learner() -> OnBlocks:
    """A gate on three blocks, of which the first two are one member's."""
    taps = {name: Tap(name, "vector", width, "") for name, width in (("one", 3), ("two", 2))}
    cards = {
        name: Card(name=name, spec="", origin="", sha256="", prepare=Prepare(size=8), taps=taps, class_count=3)
        for name in ("a", "b")
    }
    reads = [Read("a", "one"), Read("a", "two"), Read("b", "two")]
    return OnBlocks(crown("features/gate", cards, reads, ["x", "y", "z"], settings={"width": 4}))


def batch(rows: int = 9) -> Batch:
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(rows, width, generator=generator).requires_grad_(True) for width in (3, 2, 2)]
    return Batch(np.arange(rows), inputs, torch.arange(rows) % 3)


def test_blocks_of_one_member_are_one_branch() -> None:
    assert learner().branches == (0, 0, 1)


def test_an_auxiliary_head_reads_its_branch_alone() -> None:
    model, given = learner(), batch()
    goal = objective([("branch_heads", {"share": 0.3})], About("multiclass", 0.0, model))
    losses = goal(model, {"train": given})
    assert set(losses) == {"branch0", "branch1"}
    losses["branch0"].backward()
    assert [block.grad is not None and bool((block.grad != 0).any()) for block in given.inputs] == [True, True, False]
    assert goal.weights(0.5) == {"branch0": 0.3, "branch1": 0.3}


def test_auxiliary_heads_see_what_dropout_hides() -> None:
    model, given = learner(), batch()
    goal = objective([("branch_heads", {"share": 1.0})], About("multiclass", 0.0, model))
    plain = goal(model, {"train": given})
    model.crown.drop(branch=0.9, feature=0.9)
    model.crown.train()
    hidden = goal(model, {"train": given})
    assert all(torch.equal(plain[name], hidden[name]) for name in plain)


def test_blended_weights_are_generalisation_over_squared_overfitting() -> None:
    before = {"fused": (1.0, 1.1), "branch0": (1.0, 1.0), "branch1": (1.0, 1.2)}
    after = {"fused": (0.2, 0.8), "branch0": (0.7, 0.9), "branch1": (0.5, 1.3)}
    # fused: G = 0.3, O = 0.6 - 0.1; branch0: G = 0.1, O = 0.2; branch1 got worse on spared rows.
    raw = {"fused": 0.3 / 0.5**2, "branch0": 0.1 / 0.2**2, "branch1": 0.0}
    wanted = {name: value / sum(raw.values()) for name, value in raw.items()}
    assert blended(before, after) == pytest.approx(wanted)
    assert blended(after, before)["branch0"] == 0.0
    assert blended(before, before) == {}
    assert blended({"fused": (1.0, 1.0)}, {"fused": (0.9, 0.9)}) == {"fused": 1.0}
    assert SMALLEST_GROWTH > 0


def blocks_lesson(**given: Any) -> tuple[Lesson, list[np.ndarray]]:
    """Sixty rows; the first branch carries the classes, the second is noise. Notes which rows were asked for."""
    rng = np.random.default_rng(0)
    targets = np.arange(60) % 3
    arrays = [rng.normal(size=(60, width)).astype(np.float32) for width in (3, 2, 2)]
    arrays[0] += 2 * np.eye(3)[targets].astype(np.float32)
    feed, asked = BlockFeed(np.arange(60), arrays, CPU), []

    class Noting:
        def batch(self, rows: np.ndarray) -> list[torch.Tensor]:
            asked.append(rows)
            return feed.batch(rows)

    plan = schedule({"regime": "frozen", "epochs": 12, "batch": 10, "rates": [0.03], **given}, where="test")
    return Lesson(OnBlocks, Noting(), targets, plan, 0, classes=3), asked


def test_blending_spares_rows_and_trusts_the_branch_that_knows() -> None:
    lesson, asked = blocks_lesson(objective="gradient_blend", every=3)
    model = learner().crown
    fitted = fit(lesson, model, np.arange(50), held=np.arange(50, 60), rate=0.03)
    goal = objective([("gradient_blend", {"spared": 0.2, "every": 3})], About("multiclass", 0.0, learner()))
    trained = goal.keep(np.arange(50), stream(0, "keep"))
    assert len(trained) == 40
    in_training = {int(row) for rows in asked if len(rows) == 10 for row in rows} - set(range(50, 60))
    spared = set(range(50)) - set(trained.tolist())
    # Spared rows are asked for by themselves, to be measured; no batch that is learned from holds one of them.
    assert all(
        set(rows.tolist()) <= set(trained.tolist()) | set(range(50, 60)) or set(rows.tolist()) <= spared
        for rows in asked
    )
    assert set(trained.tolist()) <= in_training
    assert fitted.items == 40 * len(fitted.curve)
    parts = {name: fitted.curve[-1][name] for name in ("train:fused", "train:branch0", "train:branch1")}
    assert parts["train:branch0"] < parts["train:branch1"]


def test_blended_weights_move_toward_the_branch_that_generalises() -> None:
    model = learner()
    goal: Any = objective([("gradient_blend", {"spared": 0.2, "every": 1})], About("multiclass", 0.0, model))
    goal.keep(np.arange(10), stream(0, "keep"))
    told = [
        {"fused": (1.0, 1.0), "branch0": (1.0, 1.0), "branch1": (1.0, 1.0)},
        {"fused": (0.5, 0.9), "branch0": (0.6, 0.7), "branch1": (0.2, 1.4)},
    ]
    for epoch, losses in enumerate(told, start=1):
        answers = iter([{name: pair[side] for name, pair in losses.items()} for side in (0, 1)])
        goal.after(epoch, lambda rows, answers=answers: next(answers))
    weights = goal.weights(0.5)
    assert weights["branch0"] > weights["fused"] > weights["branch1"] == 0.0
    assert sum(weights.values()) == pytest.approx(1.0)
