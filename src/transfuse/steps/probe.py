"""How fast a source runs on this machine: milliseconds per item, forward and with backward. For forecasts only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from transfuse.steps._context import Context, Result
from transfuse.store import Artifact

REVISION = 2
NEEDS = ("torch",)
BATCHES, BATCH = 20, 32
SECONDS = 1.0


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """CPU milliseconds per item over 20 batches of 32 after one to warm up, or as many as begin within a CPU second;
    `backward_ms` is forward and backward."""
    import torch

    from transfuse.steps import _networks

    source = _networks.source(_networks.cards(inputs)[0], context, fresh=params["fresh"])
    canvas = torch.full((BATCH, 3, params["canvas"], params["canvas"]), 0.5)
    rounds = BATCHES if not params["backward"] else BATCHES // 4

    def forward() -> None:
        with torch.no_grad():
            source(canvas)

    def backward() -> None:
        source(canvas).sum().backward()
        source.zero_grad(set_to_none=True)

    found = {
        "forward_ms": _per_item(forward, rounds),
        "backward_ms": _per_item(backward, rounds) if params["backward"] else 0.0,
    }
    return found, None


def _per_item(act: Any, rounds: int) -> float:
    act()
    began = time.process_time()
    done, taken = 0, 0.0
    while done < rounds and taken < SECONDS:
        act()
        done, taken = done + 1, time.process_time() - began
    return 1000 * taken / (done * BATCH)
