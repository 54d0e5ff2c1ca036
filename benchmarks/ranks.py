"""One training by several processes: what each holds of it and how long a step takes, weights whole and divided."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.growth import memory_of
from transfuse.run.ranked import meet
from transfuse.train.adamw import AdamW
from transfuse.train.ranks import Ranks

LAYERS, WIDTH, BATCH, STEPS = 8, 2048, 64, 6
WAYS = ((1, False), (2, False), (2, True))


def table() -> list[str]:
    """For each way: megabytes of its own that a process gained while it trained, and milliseconds a step."""
    numbers = LAYERS * WIDTH * (WIDTH + 1)
    rows = [f"{LAYERS} layers of {WIDTH} x {WIDTH}, {numbers / 1e6:.0f} million numbers ({4 * numbers / 1e6:.0f} MB)"]
    for count, shard in WAYS:
        found = _together(count, shard)
        held, step = (max(each[place] for each in found) for place in (0, 1))
        what = f"{count} process{'es' if count > 1 else ''}{', weights divided' if shard else ''}"
        each = f"{held:6.0f} MB each, {held * 1e6 / numbers:4.1f} bytes a number"
        rows.append(f"{what:<34} {each}, {step:6.0f} ms a step")
    return rows


def _together(count: int, shard: bool) -> list[tuple[float, float]]:
    context = multiprocessing.get_context("spawn")
    # What is freed is given back at once: else a process' size tells what it once held.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "1000000"
    with tempfile.TemporaryDirectory() as folder:
        told = context.Queue()
        meeting = Path(folder) / "meeting"
        others = [context.Process(target=_train, args=(rank, count, shard, meeting, told)) for rank in range(count)]
        for other in others:
            other.start()
        found = [told.get() for _ in others]
        for other in others:
            other.join()
    return found


def _train(rank: int, count: int, shard: bool, meeting: Path, told: Any) -> None:
    torch.set_num_threads(1)
    if count > 1:
        meet(meeting, rank, count, "cpu")
    ranks, x = Ranks(rank, count, shard), torch.randn(BATCH, WIDTH)
    _steps(nn.Sequential(nn.Linear(WIDTH, WIDTH)), ranks, x)
    before = memory_of(os.getpid())[0]
    model = nn.Sequential(*(part for _ in range(LAYERS) for part in (nn.Linear(WIDTH, WIDTH), nn.Tanh())))
    seconds, held = _steps(model, ranks, x)
    told.put((held - before, 1e3 * statistics.median(seconds[1:])))
    if count > 1:
        torch.distributed.destroy_process_group()


def _steps(model: nn.Module, ranks: Ranks, x: torch.Tensor) -> tuple[list[float], float]:
    """The seconds of each step, and what the process held between the gradients and the optimiser's step."""
    seconds, held = [], 0.0
    with ranks.divided(model):
        optimiser = AdamW([{"params": list(model.parameters()), "lr": 1e-4}], ranks, weight_decay=0.0)
        for _ in range(STEPS):
            began = time.perf_counter()
            optimiser.zero_grad()
            ranks.weighed(model(x[: BATCH // ranks.count]).square().mean(), BATCH // ranks.count).backward()
            ranks.join(optimiser.parameters())
            held = max(held, memory_of(os.getpid())[0])
            optimiser.step(1.0)
            seconds.append(time.perf_counter() - began)
    return seconds, held
