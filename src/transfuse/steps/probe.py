"""How fast a source runs on this machine: milliseconds per item, forward and with backward. For forecasts only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.steps import Context, Result
from transfuse.steps._halved import halved
from transfuse.store import Artifact

if TYPE_CHECKING:
    from torch import Tensor, nn

REVISION = 2
NEEDS = ("torch",)
BATCHES, BATCH = 20, 32
SECONDS = 0.4


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """CPU milliseconds per item over 20 batches of 32 after one to warm up, or as many as begin within 0.4 CPU seconds;
    `backward_ms` is forward and backward."""
    from transfuse.source.door import example
    from transfuse.steps import _networks

    source = _networks.source(_networks.cards(inputs)[0], context, fresh=params["fresh"])
    images = example(source.card.field, BATCH, params["canvas"])

    def ask(rows: np.ndarray) -> np.ndarray:
        timed = _timed(source, images[rows], backward=params["backward"] and source.card.trainable)
        return np.tile(timed, (len(rows), 1))

    # One batch whose size shrinks where memory does not suffice: the last is the one that was timed.
    times, note = halved(np.arange(BATCH), BATCH, ask, context)
    forward, backward = times[-1]
    return {"forward_ms": float(forward), "backward_ms": float(backward), **note}, None


def _timed(source: nn.Module, canvas: Tensor, *, backward: bool) -> tuple[float, float]:
    """Milliseconds an item of a batch, forward, and forward with backward where that is asked for."""
    import torch

    rounds = BATCHES if not backward else BATCHES // 4

    def forward() -> None:
        with torch.no_grad():
            source(canvas)

    def both() -> None:
        source(canvas).sum().backward()
        source.zero_grad(set_to_none=True)

    whole = _per_item(both, rounds, len(canvas)) if backward else 0.0
    return _per_item(forward, rounds, len(canvas)), whole


def _per_item(act: Any, rounds: int, size: int) -> float:
    act()
    began = time.process_time()
    done, taken = 0, 0.0
    while done < rounds and taken < SECONDS:
        act()
        done, taken = done + 1, time.process_time() - began
    return 1000 * taken / (done * size)
