from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from torch import Tensor, nn

from transfuse.train import loop
from transfuse.train.held import log_loss
from transfuse.train.loop import DivergedError, fit, score, settle

Blobs = tuple[np.ndarray, np.ndarray]


def test_a_training_loss_that_is_no_number_is_given_up(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    features, targets = blobs[0].copy(), blobs[1]
    features[7, 0] = np.inf
    with pytest.raises(DivergedError, match=r"the training loss became .* in epoch 1 \(learning rate 0.1\)") as caught:
        fit(lesson(features, targets), on_first(lambda: nn.Linear(5, 3)), np.arange(40), held=None, rate=0.1)
    assert caught.value.items == 40


@pytest.mark.parametrize("held", [None, np.arange(30, 40)])
def test_weights_that_are_no_numbers_are_given_up(
    lesson: Any, on_first: Any, blobs: Blobs, held: np.ndarray | None
) -> None:
    # One step alone: its loss is taken before the weights blow up, so only what follows can tell.
    with pytest.raises(
        DivergedError, match="weight stopped being a number" if held is None else "the held loss became"
    ):
        fit(lesson(*blobs, epochs=1, batch=64), on_first(lambda: nn.Linear(5, 3)), np.arange(30), held=held, rate=1e39)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0, 50.0]))
def test_log_loss_agrees_with_scikit_learn(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    scores, targets = rng.normal(size=(20, 4)) * scale, rng.integers(0, 4, 20)
    probs = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    if probs.min() > 1e-15:
        assert log_loss(scores, targets) == pytest.approx(sklearn_log_loss(targets, probs, labels=range(4)))
    assert log_loss(scores + 1e4, targets) == pytest.approx(log_loss(scores, targets), rel=1e-6, abs=1e-6)


def test_log_loss_stays_finite_where_a_probability_underflows() -> None:
    assert log_loss(np.array([[0.0, 5000.0]], dtype=np.float32), np.array([0])) == 5000.0
    assert math.isnan(log_loss(np.array([[0.0, np.inf]]), np.array([1])))


def test_scores_do_not_depend_on_the_batches(
    lesson: Any, on_first: Any, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = on_first(lambda: nn.BatchNorm1d(5), lambda: nn.Dropout(0.5), lambda: nn.Linear(5, 3))
    rows = np.array([5, 1, 1, 39, 20, 7, 8])
    whole = score(lesson(*blobs), model, rows)
    monkeypatch.setattr(loop, "SCORING_BATCH", 2)
    parts = score(lesson(*blobs), model, rows)
    np.testing.assert_allclose(parts, whole, rtol=1e-6)
    assert (whole.shape, whole.dtype) == ((7, 3), np.float32)
    assert not model.training


def test_low_precision_is_used_for_training_and_scoring_alike(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    entered: list[bool] = []

    def autocast() -> contextlib.AbstractContextManager[Any]:
        entered.append(True)
        return torch.autocast("cpu", dtype=torch.bfloat16)

    given_lesson = replace(lesson(*blobs, epochs=1, batch=64), autocast=autocast)
    model = on_first(lambda: nn.Linear(5, 3))
    fitted = fit(given_lesson, model, np.arange(30), held=np.arange(30, 40), rate=0.1)
    assert len(entered) == 2
    assert fitted.scores is not None
    assert fitted.scores.dtype == np.float32
    bits = torch.from_numpy(fitted.scores)
    assert torch.equal(bits, bits.bfloat16().float())
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize(("limit", "expected"), [(100, list(range(10, 30))), (5, [10, 14, 18, 22, 26])])
def test_joints_settle_on_rows_spread_evenly(
    lesson: Any, blobs: Blobs, monkeypatch: pytest.MonkeyPatch, limit: int, expected: list[int]
) -> None:
    monkeypatch.setattr(loop, "SETTLING_ROWS", limit)
    monkeypatch.setattr(loop, "SCORING_BATCH", 3)
    given_blocks: list[Tensor] = []

    class Crown:
        def settle(self, blocks: list[Tensor], targets: Tensor | None) -> None:
            given_blocks.extend(blocks)
            assert targets is not None
            assert targets.tolist() == blobs[1][expected].tolist()

    double: Callable[[list[Tensor]], list[Tensor]] = lambda blocks: [blocks[0], 2 * blocks[0]]  # noqa: E731
    settle(Crown(), double, lesson(*blobs).feed, np.arange(29, 9, -1), blobs[1])
    assert len(given_blocks) == 2
    np.testing.assert_array_equal(given_blocks[0].numpy(), blobs[0][expected].astype(np.float32))
    assert torch.equal(given_blocks[1], 2 * given_blocks[0])
