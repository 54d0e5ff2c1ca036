"""When does it pay to train heads together? Stacked against one by one: seeds × rates, with one thread and with two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.pairs import line, ratio
from transfuse.fusion.connect import crown
from transfuse.reads import Read
from transfuse.schedules import Schedule
from transfuse.train import stack
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import Lesson, fit
from transfuse.train.stack import Track, fit_stacked
from transfuse.types import Card, Prepare, Tap

ROWS, CLASSES = 2000, 10
PLAN = Schedule(epochs=1, batch=64, patience=100, least_steps=1)
# Method, its settings, widths of the features, seeds and rates.
CASES: tuple[tuple[str, dict[str, Any], Sequence[int], int, int], ...] = (
    ("concat", {}, (64, 80, 128), 1, 1),
    ("concat", {}, (64, 80, 128), 1, 3),
    ("concat", {}, (64, 80, 128), 5, 3),
    ("concat", {}, (1280, 512), 1, 3),
    ("concat", {}, (1280, 512), 5, 3),
    ("gate", {"width": 8}, (64, 80, 128), 1, 3),
    ("gate", {"width": 8}, (64, 80, 128), 5, 3),
    ("gate", {"width": 32}, (64, 80, 128), 1, 3),
    ("gate", {"width": 128}, (64, 80, 128), 1, 3),
    ("gate", {"width": 128}, (1280, 512), 1, 3),
    ("bilinear", {}, (64, 80, 128), 1, 3),
    ("mixture", {}, (64, 80, 128), 1, 3),
)


def table() -> list[str]:
    """A row for each case and number of threads."""
    before = torch.get_num_threads()
    rows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        rows += [_row(*case, threads) for case in CASES]
    torch.set_num_threads(before)
    return rows


def _network(method: str, settings: Mapping[str, Any], widths: Sequence[int], seed: int) -> nn.Module:
    cards = {
        f"s{place}": Card(
            name=f"s{place}", spec="", origin="", sha256="", prepare=Prepare(size=8), class_count=CLASSES,
            taps={"vector": Tap("vector", "vector", width, "")},
        )
        for place, width in enumerate(widths)
    }  # fmt: skip
    classes = [str(index) for index in range(CLASSES)]
    return crown(method, cards, [Read(name, "vector") for name in cards], classes, settings=settings, seed=seed)


def _row(method: str, settings: dict[str, Any], widths: Sequence[int], seeds: int, rates: int, threads: int) -> str:
    rng = np.random.default_rng(0)
    blocks = [rng.standard_normal((ROWS, width)).astype(np.float32) for width in widths]
    feed = BlockFeed(np.arange(ROWS), blocks, torch.device("cpu"))
    lesson = Lesson(OnBlocks, feed, rng.integers(0, CLASSES, ROWS), PLAN, 0)
    train = np.arange(ROWS - 500)
    grid = [(seed, 10.0 ** -(2 + rate)) for seed in range(seeds) for rate in range(rates)]

    def networks() -> list[nn.Module]:
        return [_network(f"features/{method}", settings, widths, seed) for seed, _ in grid]

    def together() -> None:
        given = zip(networks(), grid, strict=True)
        fit_stacked(lesson, [Track(model, train, None, rate, seed) for model, (seed, rate) in given])

    def one_by_one() -> None:
        for model, (_, rate) in zip(networks(), grid, strict=True):
            fit(lesson, model, train, held=None, rate=rate)

    learned = sum(parameter.numel() for parameter in networks()[0].parameters())
    chosen = "stacked" if stack.stackable(lesson, networks()[0]) else "one by one"
    name = f"{method}, {learned:,} learned, {seeds} x {rates}, {threads} thread{'s' * (threads > 1)}"
    return line(name, ratio(together, one_by_one, pairs=7), f"chosen: {chosen}")
