"""When does it pay to train heads together? Stacked against one by one: seeds × rates, with one thread and with two."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks.pairs import line, ratio
from transfuse.schedules import Schedule
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import Lesson, fit
from transfuse.train.stack import Track, fit_stacked

ROWS, CLASSES = 2000, 10
PLAN = Schedule(epochs=1, batch=64, patience=100, least_steps=1)
# Width of the features, seeds and rates.
CASES = ((128, 1, 3), (128, 5, 3), (1792, 1, 3), (1792, 5, 3))


class Head(nn.Module):
    """A linear head on one block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, CLASSES)

    def forward(self, blocks: list[torch.Tensor]) -> torch.Tensor:
        return self.head(blocks[0])


def table() -> list[str]:
    """A row for each case and number of threads."""
    before = torch.get_num_threads()
    rows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        rows += [_row(width, seeds, rates, threads) for width, seeds, rates in CASES]
    torch.set_num_threads(before)
    return rows


def _row(width: int, seeds: int, rates: int, threads: int) -> str:
    rng = np.random.default_rng(0)
    feed = BlockFeed(np.arange(ROWS), [rng.standard_normal((ROWS, width)).astype(np.float32)], torch.device("cpu"))
    lesson = Lesson(OnBlocks, feed, rng.integers(0, CLASSES, ROWS), PLAN, 0)
    train = np.arange(ROWS - 500)
    grid = [(seed, 10.0 ** -(2 + rate)) for seed in range(seeds) for rate in range(rates)]

    def together() -> None:
        fit_stacked(lesson, [Track(Head(width), train, None, rate, seed) for seed, rate in grid])

    def one_by_one() -> None:
        for _, rate in grid:
            fit(lesson, Head(width), train, held=None, rate=rate)

    name = (
        f"stacked / one by one, {seeds} seeds x {rates} rates, {width} columns, {threads} thread{'s' * (threads > 1)}"
    )
    return line(name, ratio(together, one_by_one), "lower is better")
