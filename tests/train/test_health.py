"""Branch health: a planted dead branch is found, a living one never, and branch dropout wakes a neglected one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from transfuse.fusion.connect import crown
from transfuse.fusion.fused import Crown
from transfuse.reads import Read
from transfuse.schedules import schedule
from transfuse.train.batches import Stream
from transfuse.train.feed import BlockFeed
from transfuse.train.health import Branch, Health, Watch, examine, mean
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import Lesson, fit, settle
from transfuse.train.tune import Rows, Training, tune
from transfuse.types import Card, Prepare, Tap

CPU, N = torch.device("cpu"), 300
TARGETS = np.arange(N) % 3
HELD, TRAIN = np.arange(200, N), np.arange(200)


def blocks(dead: str = "") -> list[np.ndarray]:
    """Two branches that both tell the classes; `constant` or `noise` takes the second one's knowledge away."""
    rng = np.random.default_rng(0)
    found = [rng.normal(size=(N, width)) + 2 * np.eye(3, width)[TARGETS] for width in (4, 5)]
    if dead == "constant":
        found[1] = np.full((N, 5), 3.0)
    if dead == "noise":
        found[1] = rng.normal(size=(N, 5))
    return [block.astype(np.float32) for block in found]


def new_crown(name: str = "features/concat", **settings: Any) -> Crown:
    taps = {width: {"vector": Tap("vector", "vector", width, "")} for width in (4, 5)}
    cards = {
        member: Card(
            name=member, spec="", origin="", sha256="", prepare=Prepare(size=8), taps=taps[width], class_count=3
        )
        for member, width in (("a", 4), ("b", 5))
    }
    return crown(name, cards, [Read("a", "vector"), Read("b", "vector")], ["x", "y", "z"], settings=settings)


def taught(arrays: list[np.ndarray], **given: Any) -> tuple[Crown, Lesson, list[dict[str, Any]]]:
    feed = BlockFeed(np.arange(N), arrays, CPU)
    told: list[dict[str, Any]] = []
    labelled = Stream(feed, np.zeros(0, dtype=np.int64), TARGETS)
    watch = Watch(OnBlocks, labelled.batch, lambda epoch, found: told.append({"epoch": epoch, **found}))
    plan = schedule({"regime": "frozen", "epochs": 10, "batch": 20, "rates": [0.03], **given}, where="test")
    return new_crown(), Lesson(OnBlocks, feed, TARGETS, plan, 0, classes=3, watch=watch), told


def health(dead: str) -> Health:
    model, lesson, _ = taught(blocks(dead))
    settle(model, lambda batch: batch, lesson.feed, TRAIN)
    found = fit(lesson, model, TRAIN, held=HELD, rate=0.03).health
    assert found is not None
    return found


@pytest.mark.parametrize("dead", ["constant", "noise"])
def test_a_planted_dead_branch_is_found_and_its_neighbour_is_not(dead: str) -> None:
    found = health(dead)
    assert found.branches[1].dead == (dead == "constant")
    assert not found.branches[0].dead
    assert found.branches[0].solo > 0.8 > 0.5 > found.branches[1].solo
    assert found.branches[1].without == pytest.approx(found.whole, abs=0.06)


def test_two_living_branches_both_live() -> None:
    found = health("")
    assert [branch.dead for branch in found.branches] == [False, False]
    assert all(branch.solo > found.none + 0.3 for branch in found.branches)
    assert sum(branch.gradient for branch in found.branches) == pytest.approx(1.0)
    assert found.entropy is None
    assert all(branch.share is None for branch in found.branches)


def test_accuracies_are_those_of_the_network_with_blocks_at_their_training_mean() -> None:
    arrays = blocks()
    model, lesson, _ = taught(arrays)
    settle(model, lambda batch: batch, lesson.feed, TRAIN)
    found = fit(lesson, model, TRAIN, held=HELD, rate=0.03).health
    assert found is not None
    means = [np.broadcast_to(block[TRAIN].mean(axis=0), block.shape) for block in arrays]

    def accuracy(first: np.ndarray, second: np.ndarray) -> float:
        with torch.no_grad():
            answers = model.eval()([torch.tensor(block[HELD].copy()) for block in (first, second)])
        return float((answers.argmax(dim=1).numpy() == TARGETS[HELD]).mean())

    assert found.whole == accuracy(arrays[0], arrays[1])
    assert found.none == accuracy(means[0], means[1])
    assert found.branches[0].solo == found.branches[1].without == accuracy(arrays[0], means[1])
    assert found.branches[1].solo == found.branches[0].without == accuracy(means[0], arrays[1])
    assert found.rows == len(HELD)


def test_a_gate_tells_its_shares_and_their_entropy() -> None:
    learner = OnBlocks(new_crown("features/gate", width=4).eval())
    feed = BlockFeed(np.arange(N), blocks(), CPU)
    batch = Stream(feed, HELD, TARGETS).batch
    even = examine(learner, batch, HELD)
    assert even.entropy == pytest.approx(1.0)
    assert [branch.share for branch in even.branches] == pytest.approx([0.5, 0.5])
    with torch.no_grad():
        learner.crown.body.gate.bias.copy_(torch.tensor([np.log(9.0), 0.0]))
    leaning = examine(learner, batch, HELD)
    assert [branch.share for branch in leaning.branches] == pytest.approx([0.9, 0.1])
    assert leaning.entropy == pytest.approx(-(0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / np.log(2))


def test_too_few_rows_show_no_death() -> None:
    model, lesson, _ = taught(blocks("noise"))
    fit(lesson, model, TRAIN, held=HELD, rate=0.03)
    few = Watch(OnBlocks, Stream(lesson.feed, HELD, TARGETS).batch, lambda epoch, found: None).after(model, HELD[:12])
    assert not few.branches[1].dead


def test_watching_changes_no_number_and_tells_at_powers_of_two() -> None:
    plain, watched = taught(blocks()), taught(blocks())
    first = fit(replace(plain[1], watch=None), plain[0], TRAIN, held=HELD, rate=0.03)
    second = fit(watched[1], watched[0], TRAIN, held=HELD, rate=0.03)
    assert [point["epoch"] for point in watched[2]] == [1, 2, 4, 8]
    assert first.curve == second.curve
    assert all(torch.equal(first.state[name], second.state[name]) for name in first.state)
    assert all(parameter.grad is None or parameter.requires_grad for parameter in watched[0].parameters())


def test_under_cross_fitting_health_is_the_mean_over_folds() -> None:
    folds = [(np.setdiff1d(TRAIN, TRAIN[start::2]), TRAIN[start::2]) for start in range(2)]
    _, lesson, _ = taught(blocks())
    build: Callable[[np.ndarray], nn.Module] = lambda rows: new_crown()  # noqa: E731
    tuned = tune(Training(build, lesson), Rows(folds, TRAIN, final_fit=True))
    each = [fit(lesson, new_crown(), rows, held=held, rate=0.03).health for rows, held in folds]
    known = [one for one in each if one is not None]
    assert tuned.health is not None
    assert tuned.health.rows == 200
    assert tuned.health.whole == pytest.approx(np.mean([one.whole for one in known]))


def test_a_branch_is_dead_only_where_every_fold_says_so() -> None:
    def fold(rows: int, dead: bool, solo: float) -> Health:
        return Health(rows, 0.5, 0.3, None, (Branch(solo, 0.5, 1.0, None, dead),))

    both = mean([fold(10, True, 0.2), fold(30, True, 0.4)])
    assert both.branches[0].dead
    assert both.branches[0].solo == pytest.approx(0.35)
    assert not mean([fold(10, True, 0.2), fold(30, False, 0.4)]).branches[0].dead


def neglected() -> list[np.ndarray]:
    """The first branch tells the classes at once, the second by its distance from the middle, learned slowly."""
    rng = np.random.default_rng(1)
    strong = 6 * np.eye(3, 4)[TARGETS] + 0.3 * rng.normal(size=(N, 4))
    angle = rng.uniform(0, 2 * np.pi, N)
    radius = np.array([0.4, 1.5, 2.6])[TARGETS] + 0.15 * rng.normal(size=N)
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    weak = np.concatenate([ring, 0.1 * rng.normal(size=(N, 3))], axis=1)
    return [block.astype(np.float32) for block in (strong, weak)]


def test_branch_dropout_repairs_a_neglected_branch() -> None:
    def alone(share: float) -> float:
        _, lesson, _ = taught(neglected(), weight_decay=0.0, epochs=20)
        model = new_crown("features/mixture", width=16)
        settle(model, lambda batch: batch, lesson.feed, TRAIN)
        model.drop(branch=share)
        found = fit(lesson, model, TRAIN, held=HELD, rate=0.03).health
        assert found is not None
        assert found.whole > 0.95
        return found.branches[1].solo

    assert alone(0.0) < 0.45
    assert alone(0.5) > 0.85
