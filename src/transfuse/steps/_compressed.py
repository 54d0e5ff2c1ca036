"""What the steps of compressed arms share: asking a network rows, what it costs, and how it is built again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from transfuse.compress._lift import stored_bytes
from transfuse.fusion import saved
from transfuse.fusion.graphed import Graphed
from transfuse.source.base import Source
from transfuse.source.shrunk import is_shrunk
from transfuse.steps import Context, _networks
from transfuse.steps._canvases import canvases
from transfuse.steps.count import forward_flops, used_parameters
from transfuse.store import Artifact

BATCH = 64
# Weights of a network that is stored as it runs take so many bytes each.
FLOAT = 4


def answers(
    model: Source, params: Mapping[str, Any], items: Artifact, context: Context
) -> Callable[[np.ndarray], np.ndarray]:
    """Rows [n] to scores [n, C] of the whole network, on canvases."""
    device = context.torch_device()
    model = model.to(device).eval()
    read, cast = canvases(params, items, context), _networks.autocast(params["precision"], device)

    def ask(rows: np.ndarray) -> np.ndarray:
        found = [np.zeros((0, model.card.class_count), dtype=np.float32)]
        with torch.no_grad(), cast():
            for start in range(0, len(rows), BATCH):
                batch = torch.from_numpy(read(rows[start : start + BATCH])).to(device)
                found.append(model(batch).float().cpu().numpy())
                context.emit("progress", done=min(start + BATCH, len(rows)), of=len(rows))
        return np.concatenate(found)

    return ask


def counted(model: Source, member: Source, side: int) -> dict[str, Any]:
    """Parameters and FLOPs of one item, and the bytes that what runs takes on disk.

    A graph in int8 does what its member does, in fewer bits: both have the member's counts.
    """
    canvas = torch.full((1, 3, side, side), 0.5, device=next((each.device for each in model.parameters()), None))
    looked = member if isinstance(model, Graphed) else model
    parameters, whole = used_parameters(looked, canvas), stored_bytes(model)
    every = sum(each.numel() for each in looked.parameters())
    # Layers that never run, such as a source's own classifier, need not be stored either.
    unused = 0 if isinstance(model, Graphed) else whole * (every - parameters) // max(every, 1)
    return {
        "parameters": parameters,
        "inference_flops": forward_flops(looked, canvas),
        "member_step_flops": forward_flops(member, canvas),
        "stored_bytes": whole - unused,
    }


def described(model: Source) -> dict[str, Any]:
    """How the network is built again, for its record."""
    return {"model": saved.describe(model, lambda source: source.card), "shrunk": is_shrunk(model)}
