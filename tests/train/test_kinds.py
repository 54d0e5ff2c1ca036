"""Training on labels and on numbers: losses against scikit-learn, and answers in the targets' own unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import log_loss, mean_squared_error

from transfuse.fusion.fused import Crown
from transfuse.schedules import Schedule
from transfuse.train.feed import BlockFeed
from transfuse.train.held import held_loss, spread_of
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import Lesson, fit, score
from transfuse.train.losses import task_loss

RNG = np.random.default_rng(0)
LOGITS = 3.0 * RNG.normal(size=(40, 3))
FLAGS = (RNG.random((40, 3)) < 0.5).astype(np.int64)
NUMBERS = RNG.normal(size=(40, 3))


class Body(torch.nn.Module):
    width = 5

    def forward(self, blocks: list[torch.Tensor]) -> torch.Tensor:
        return blocks[0]


def lesson(kind, targets: np.ndarray, block: np.ndarray) -> tuple[Lesson, Crown]:
    schedule = Schedule(epochs=80, batch=20, rates=(0.03,), weight_decay=0.0, patience=50, least_steps=1)
    feed = BlockFeed(np.arange(len(block)), [block.astype(np.float32)], torch.device("cpu"))
    crown = Crown([5], Body(), [str(c) for c in range(targets.shape[1])], "features/concat", {}, kind=kind)
    crown.settle([torch.from_numpy(block.astype(np.float32))])
    return Lesson(OnBlocks, feed, targets, schedule, 0, kind=kind), crown


def test_losses_agree_with_scikit_learn_held_and_in_training() -> None:
    probs = 1 / (1 + np.exp(-LOGITS))
    binary = np.mean([log_loss(FLAGS[:, c], probs[:, c]) for c in range(3)])
    assert held_loss("multilabel", LOGITS, FLAGS) == pytest.approx(binary)
    scores, flags = torch.from_numpy(LOGITS), torch.from_numpy(FLAGS)
    assert float(task_loss("multilabel", scores, flags)) == pytest.approx(binary, rel=1e-5)
    smooth = 0.9 * FLAGS + 0.05
    wanted = -(smooth * np.log(probs) + (1 - smooth) * np.log(1 - probs)).mean()
    assert float(task_loss("multilabel", scores, flags, 0.1)) == pytest.approx(wanted, rel=1e-5)
    squared = mean_squared_error(NUMBERS, LOGITS)
    assert held_loss("regression", LOGITS, NUMBERS) == pytest.approx(squared)
    assert float(task_loss("regression", scores, torch.from_numpy(NUMBERS))) == pytest.approx(squared, rel=1e-5)
    assert np.isfinite(held_loss("multilabel", np.array([[5000.0, -5000.0]]), np.array([[0, 1]])))
    assert np.isnan(held_loss("regression", np.array([[np.nan]]), np.array([[0.0]])))


def test_numbers_of_any_unit_are_learned_like_least_squares() -> None:
    block = RNG.normal(size=(60, 5))
    truth = block @ RNG.normal(size=(5, 2)) + 0.1 * RNG.normal(size=(60, 2))
    rows = np.arange(60)
    answers = {}
    for name, unit in (("plain", np.array([1.0, 1.0])), ("other", np.array([1e-3, 1e4]))):
        targets = truth * unit + 5 * unit
        known, crown = lesson("regression", targets, block)
        crown.head.settle(torch.from_numpy(targets))  # pyright: ignore[reportCallIssue]
        fit(known, crown, rows, held=rows, rate=0.03)
        answers[name] = score(known, crown, rows) / unit
        wanted = LinearRegression().fit(block, targets).predict(block) / unit
        np.testing.assert_allclose(answers[name], wanted, atol=0.1)
    np.testing.assert_allclose(answers["plain"], answers["other"], atol=0.05)


def test_labels_are_learned_each_for_itself() -> None:
    block = RNG.normal(size=(80, 5))
    flags = (block[:, :3] + 0.3 * RNG.normal(size=(80, 3)) > 0).astype(np.int64)
    known, crown = lesson("multilabel", flags, block)
    rows = np.arange(80)
    fitted = fit(known, crown, rows, held=rows, rate=0.03)
    assert ((score(known, crown, rows) > 0) == (flags == 1)).mean() > 0.9
    assert fitted.loss < 0.35 < np.log(2)


def test_a_target_that_never_varies_has_spread_one() -> None:
    np.testing.assert_allclose(spread_of(np.array([[1.0, 2.0], [1.0, 4.0]])), [1.0, 1.0])
