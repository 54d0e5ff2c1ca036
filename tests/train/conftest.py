"""One thread for every test of this room, and small things to train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transfuse.schedules import Schedule
from transfuse.train.feed import BlockFeed
from transfuse.train.loop import Lesson

PLAIN = Schedule(epochs=4, batch=4, rates=(1e-2,), weight_decay=0.1, patience=10, least_steps=1)


class OnFirst(nn.Module):
    """Any layers on the first block."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        return self.layers(blocks[0])


@pytest.fixture
def on_first() -> Callable[..., OnFirst]:
    """layers -> a network whose start is the same at every call."""

    def make(*layers: Callable[[], nn.Module]) -> OnFirst:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return OnFirst(*(layer() for layer in layers))

    return make


@pytest.fixture
def lesson() -> Callable[..., Lesson]:
    """(features [N, D], targets [N], changes of the schedule) -> a lesson on these rows."""

    def make(features: np.ndarray, targets: np.ndarray, seed: int = 0, **changes: Any) -> Lesson:
        feed = BlockFeed(np.arange(len(features)), [features.astype(np.float32)], torch.device("cpu"))
        return Lesson(lambda model: model, feed, targets, replace(PLAIN, **changes), seed)

    return make


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping clouds: features [40, 5] and targets [40]."""
    rng = np.random.default_rng(0)
    targets = np.arange(40) % 3
    return rng.normal(size=(40, 5)) + 1.5 * np.eye(3, 5)[targets], targets
