"""AdaBN: statistics become those of the pool, weights hear of labels alone, and a shift of columns is undone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.fusion.joints import Standardise
from transfuse.train.batches import Stream
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import fit

CPU = torch.device("cpu")
ROWS, COLUMNS = 300, 6


class Crown(nn.Module):
    """A standardised block, a normalised layer and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.joints = nn.ModuleList([Standardise(COLUMNS)])
        self.inner, self.norm, self.head = nn.Linear(COLUMNS, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)

    def joined(self, blocks: list[Tensor]) -> list[Tensor]:
        return [self.joints[0](blocks[0])]

    def forward(self, blocks: list[Tensor]) -> Tensor:
        return self.head(self.norm(self.inner(self.joined(blocks)[0])).relu())


def places() -> tuple[np.ndarray, np.ndarray]:
    """Rows of two places with one law for the class; the second's columns lie elsewhere and are wider."""
    rng = np.random.default_rng(0)
    targets = np.arange(2 * ROWS) % 2
    x = rng.normal(size=(2 * ROWS, COLUMNS))
    x[:, :2] += 2.5 * targets[:, None] - 1.25
    x[ROWS:] = x[ROWS:] * [3, 1, 2, 1, 4, 1] + [6, 4, 0, 3, -5, 1]
    return x.astype(np.float32), targets


def trained(lesson: Any, objective: str) -> Crown:
    x, targets = places()
    torch.manual_seed(0)
    crown = Crown()
    crown.joints[0].settle(torch.from_numpy(x[:ROWS]))  # pyright: ignore[reportCallIssue]
    given = lesson(x, targets, epochs=15, batch=32, weight_decay=0.0, objective=((objective, {}),))
    pool = Stream(BlockFeed(np.arange(ROWS, 2 * ROWS), [x[ROWS:]], CPU), np.arange(ROWS, 2 * ROWS))
    streams = {"pool": pool} if objective == "adabn" else {}
    fit(replace(given, forward=OnBlocks, streams=streams), crown, np.arange(ROWS), held=None, rate=0.02)
    return crown.eval()


def test_statistics_are_those_of_the_pool_and_weights_those_of_labels_alone(lesson: Any) -> None:
    adapted, plain = trained(lesson, "adabn"), trained(lesson, "supervised")
    x, targets = places()
    there = torch.from_numpy(x[ROWS:])
    for (name, mine), other in zip(adapted.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, other), name
    with torch.no_grad():
        block = adapted.joined([there])[0]
        inner = adapted.inner(block)
        right = [(each([there]).argmax(dim=1).numpy() == targets[ROWS:]).mean() for each in (plain, adapted)]
    torch.testing.assert_close(block.mean(dim=0), torch.zeros(COLUMNS), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(block.std(dim=0, unbiased=False), torch.ones(COLUMNS))
    # The norm above the joint is fed with what the joint gives now: plain means over nine whole batches and a part.
    wanted = torch.stack([part.mean(0) for part in inner.split(32)]).mean(0)
    torch.testing.assert_close(adapted.norm.running_mean, wanted, atol=1e-5, rtol=1e-5)
    assert right[1] > right[0] + 0.1
    assert right[1] > 0.85
