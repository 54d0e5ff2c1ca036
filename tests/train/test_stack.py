"""Stacked trainings are those of the plain loop, track by track, to rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from transfuse.fusion.connect import crown
from transfuse.fusion.fused import Crown
from transfuse.reads import Read
from transfuse.schedules import Schedule, schedule
from transfuse.train.batches import Stream
from transfuse.train.feed import BlockFeed
from transfuse.train.fitted import Fitted
from transfuse.train.health import Watch
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import DivergedError, Lesson, fit, settle
from transfuse.train.stack import Track, fit_stacked, stackable
from transfuse.train.stack_bodies import BodyStack
from transfuse.train.stack_given import gathered
from transfuse.train.tune import Rows, Training, Tuned, tune
from transfuse.types import Card, Prepare, Tap

CPU, N = torch.device("cpu"), 120
TARGETS = np.arange(N) % 3
RNG = np.random.default_rng(0)
BLOCKS = [(RNG.normal(size=(N, width)) + 0.8 * np.eye(3, width)[TARGETS]).astype(np.float32) for width in (6, 4)]
FEED = BlockFeed(np.arange(N), BLOCKS, CPU)


def network(method: str, seed: int, rows: np.ndarray, **settings: Any) -> Crown:
    cards = {
        name: Card(
            name=name, spec="", origin="", sha256="", prepare=Prepare(size=8), class_count=3,
            taps={"vector": Tap("vector", "vector", width, "")},
        )
        for name, width in (("a", 6), ("b", 4))
    }  # fmt: skip
    reads = [Read("a", "vector"), Read("b", "vector")]
    made = crown(method, cards, reads, ["x", "y", "z"], settings=settings, seed=seed)
    settle(made, lambda batch: batch, FEED, rows, TARGETS)
    return made


def plan(**given: Any) -> Schedule:
    return schedule({"regime": "frozen", "epochs": 6, "batch": 16, "weight_decay": 0.5, **given}, where="test")


def tracks(method: str, **settings: Any) -> list[Track]:
    """Two seeds with rows of their own, at three rates each."""
    found = []
    for seed in (0, 1):
        rows = np.sort(np.random.default_rng(seed).permutation(90)[:65])
        for rate in (1e-3, 1e-2, 3e-2):
            found.append(Track(network(method, seed, rows, **settings), rows, np.arange(90, N), rate, seed))
    return found


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("features/concat", {}),
        ("features/gate", {"width": 5}),
        ("features/scalar_mix", {"width": 4}),
        ("features/mixture", {"width": 5, "top": 1}),
        ("features/select", {}),
        ("features/pca_concat", {"columns": 3}),
        ("features/combo", {"columns": 3, "width": 4}),
    ],
)
def test_stacked_is_one_by_one_within_rounding(method: str, settings: dict[str, Any]) -> None:
    lesson = Lesson(OnBlocks, FEED, TARGETS, plan(smoothing=0.1), 0)
    together = fit_stacked(lesson, given := tracks(method, **settings))
    for track, one, alone in zip(given, together, tracks(method, **settings), strict=True):
        wanted = fit(replace(lesson, seed=alone.seed), alone.model, alone.rows, held=alone.held, rate=alone.rate)
        assert isinstance(one, Fitted) and one.scores is not None
        assert (one.epoch, one.items, len(one.every)) == (wanted.epoch, wanted.items, len(wanted.every))
        np.testing.assert_allclose(one.scores, wanted.scores, rtol=1e-5, atol=1e-5)
        assert [point["train"] for point in one.curve] == pytest.approx([p["train"] for p in wanted.curve], abs=1e-5)
        # AdamW makes a full step of a gradient that is all rounding, which a router's idle entries have at times.
        if not list(alone.model.body.parameters()):
            for name, value in track.model.state_dict().items():
                torch.testing.assert_close(value, alone.model.state_dict()[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["features/concat", "features/gate"])
def test_each_track_ends_by_its_own_patience(method: str) -> None:
    lesson = Lesson(OnBlocks, FEED, TARGETS, plan(epochs=30, patience=2), 0)
    found = [one for one in fit_stacked(lesson, tracks(method)) if isinstance(one, Fitted)]
    lengths = [len(one.curve) for one in found]
    assert len(set(lengths)) > 1
    assert all(length == 30 or length == one.epoch + 2 for length, one in zip(lengths, found, strict=True))


def test_a_track_that_has_ended_is_left_out_and_the_others_go_on_as_they_were() -> None:
    lesson = Lesson(OnBlocks, FEED, TARGETS, plan(epochs=30, patience=2), 0)
    given = tracks("features/gate", width=5)[:3]
    found = fit_stacked(lesson, given)
    assert len({len(one.curve) for one in found if isinstance(one, Fitted)}) > 1
    for place, one in enumerate(found):
        (alone,) = fit_stacked(lesson, [tracks("features/gate", width=5)[place]])
        assert isinstance(one, Fitted) and isinstance(alone, Fitted) and len(one.every) == len(alone.every)
        np.testing.assert_allclose(one.every[-1], alone.every[-1], rtol=1e-5, atol=1e-5)


def test_what_has_ended_is_not_computed() -> None:
    given = tracks("features/gate", width=5)[:3]
    lesson = Lesson(OnBlocks, FEED, TARGETS, plan(), 0)
    stack = BodyStack([track.model for track in given], gathered(lesson, given), lesson.schedule)
    before, going = [stack.kept(place) for place in range(3)], [True, False, True]
    losses = stack.step([torch.arange(16)], torch.full((3,), 0.1), going)
    assert [float(loss) > 0 for loss in losses] == going == [one is not None for one in stack.scores(going)]
    assert len(stack.flat) == 2
    for place in (0, 2):
        assert any(not torch.equal(before[place][name], now) for name, now in stack.kept(place).items())


@pytest.mark.parametrize("method", ["features/concat", "features/gate"])
def test_a_track_that_diverges_leaves_the_others_alone(method: str) -> None:
    given = tracks(method)
    wild = [replace(track, rate=1e39) if place == 1 else track for place, track in enumerate(given)]
    lesson = Lesson(OnBlocks, FEED, TARGETS, plan(), 0)
    found = fit_stacked(lesson, wild)
    assert [isinstance(one, DivergedError) for one in found] == [False, True, False, False, False, False]
    # It had gone through its rows when its loss was looked at, once or more.
    assert isinstance(found[1], DivergedError) and found[1].items in {len(wild[1].rows) * epoch for epoch in (1, 2)}
    plain = fit_stacked(lesson, tracks(method))
    assert isinstance(found[0], Fitted) and isinstance(plain[0], Fitted)
    np.testing.assert_allclose(found[0].every[-1], plain[0].every[-1], atol=1e-6)


def test_without_held_rows_the_last_epoch_is_kept_and_a_stop_is_kept_to() -> None:
    lesson = Lesson(OnBlocks, FEED, TARGETS, plan(), 0)
    given = [replace(track, held=None) for track in tracks("features/concat")]
    assert [one.epoch for one in fit_stacked(lesson, given, stop_after=3) if isinstance(one, Fitted)] == [3] * 6


@pytest.mark.parametrize(
    ("method", "settings", "changes", "wanted"),
    [
        ("features/concat", {}, {}, True),
        ("features/gate", {}, {}, True),
        ("features/concat", {"project": 40_000}, {}, False),
        ("features/concat", {"dropout": 0.2}, {}, False),
        ("features/attention", {"width": 8}, {}, False),
        ("features/concat", {}, {"augment": "feature_mixup"}, False),
        ("features/concat", {}, {"objective": "branch_heads"}, False),
        ("features/concat", {}, {"average": "ema"}, False),
        ("features/concat", {}, {"branch_dropout": 0.1}, False),
    ],
)
def test_only_what_is_the_same_in_every_track_is_stacked(
    method: str, settings: Any, changes: Any, wanted: bool
) -> None:
    lesson = Lesson(OnBlocks, FEED, TARGETS, plan(**changes), 0)
    assert stackable(lesson, network(method, 0, np.arange(50), **settings)) == wanted
    assert not stackable(replace(lesson, kind="multilabel"), network(method, 0, np.arange(50), **settings))
    assert not stackable(replace(lesson, autocast=lambda: torch.autocast("cpu")), network(method, 0, np.arange(50)))


def test_the_track_that_is_ahead_is_told_and_its_branches_are_looked_at() -> None:
    told: list[Any] = []
    looked: dict[int, Any] = {}
    batch = Stream(FEED, np.zeros(0, dtype=np.int64), TARGETS).batch
    watch = Watch(OnBlocks, batch, lambda epoch, found: looked.update({epoch: found}))
    lesson = Lesson(OnBlocks, FEED, TARGETS, plan(), 0, report=lambda *point: told.append(point), watch=watch)
    found = [one for one in fit_stacked(lesson, tracks("features/concat")[:3]) if isinstance(one, Fitted)]
    assert [epoch for epoch, *_ in told] == [1, 2, 3, 4, 5, 6]
    assert set(looked) == {1, 2, 4}
    least = [min(one.curve[0]["held"] for one in found), min(min(p["held"] for p in one.curve) for one in found)]
    assert told[0][2] == least[0]
    assert min(held for *_, held in told) == least[1]
    # What was looked at is the network as it stood: whole accuracy is that of the scores of that epoch.
    right = {float((one.every[3].argmax(1) == TARGETS[90:]).mean()) for one in found}
    assert any(looked[4]["whole"] == pytest.approx(value) for value in right)


@pytest.mark.parametrize("final_fit", [False, True])
def test_a_schedule_that_stacks_its_rates_finds_what_one_that_does_not_finds(final_fit: bool) -> None:
    rows = np.arange(90)
    folds = [(np.setdiff1d(rows, rows[start::2]), rows[start::2]) for start in range(2 if final_fit else 1)]

    def tuned(stack: bool) -> Tuned:
        lesson = Lesson(OnBlocks, FEED, TARGETS, plan(rates=[1e-3, 1e-2, 3e-2], stack=stack), 3)
        training = Training(lambda rows: network("features/concat", 3, rows), lesson)
        return tune(training, Rows(folds, rows, final_fit=final_fit))

    together, apart = tuned(True), tuned(False)
    assert (together.rate, together.epoch, together.items) == (apart.rate, apart.epoch, apart.items)
    np.testing.assert_allclose(together.held_scores, apart.held_scores, rtol=1e-5, atol=1e-5)
    assert not np.array_equal(together.held_scores, apart.held_scores)
