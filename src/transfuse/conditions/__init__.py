"""Conditions: changes of the input, one file each; without one contract arms could meet different noise.

A condition changes canvases, never arms. A file declares `CITATION`, `PARAMETERS` with its `level`, `TRAITS` (`kind`)
and one function, `apply` (see `Condition`); what it draws, it draws from `rng_of(id)`, so that batches, workers, seeds
and arms change nothing, and all levels of one condition rest on the same draws. `each` changes images one by one.

Files with an underscore hold what entries of this shelf share: `_attack` and `_ways` what attacks do alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from transfuse.errors import UserError
from transfuse.registry import find
from transfuse.seeds import stream

SHELF = "conditions"

RngOf = Callable[[str], np.random.Generator]
Forward = Callable[[Tensor], Tensor]


class Condition(Protocol):
    """What each module in `conditions/` offers."""

    def apply(
        self,
        x: Tensor,
        targets: np.ndarray,
        ids: Sequence[str],
        level: float,
        rng_of: RngOf,
        forward: Forward | None = None,
    ) -> Tensor:
        """Canvases [N, 3, S, S] in [0, 1] to changed ones of the same kind; `x` stays as it is.

        `targets [N]` and `forward` (canvases to logits) are for conditions made against an arm.
        """
        ...


def under(
    name: str,
    level: float,
    canvases: np.ndarray,
    *,
    targets: np.ndarray,
    ids: Sequence[str],
    forward: Forward | None = None,
) -> np.ndarray:
    """Canvases [N, 3, S, S] float32 in [0, 1] under one condition at one level, checked.

    Errors: an unknown name or level; a condition that changes the shape or type, or leaves [0, 1].
    """
    entry = find(SHELF, name)
    entry.settings({"level": level})
    condition = cast(Condition, entry.load())
    x = torch.from_numpy(canvases)
    changed = condition.apply(x, targets, ids, level, partial(stream, "condition", name), forward)
    lowest, highest = (float(changed.min()), float(changed.max())) if len(changed) else (0.0, 1.0)
    if changed.shape != x.shape or changed.dtype != torch.float32 or not (lowest >= 0 and highest <= 1):
        raise UserError(
            "a condition must give canvases like those it takes",
            where=f"{entry.full_name} at level {level:g}",
            expected=f"{list(x.shape)} float32 in [0, 1]",
            got=f"{list(changed.shape)} {str(changed.dtype).removeprefix('torch.')} in [{lowest:g}, {highest:g}]",
        )
    return changed.detach().cpu().numpy()


def each(x: Tensor, ids: Sequence[str], change: Callable[[np.ndarray, str], np.ndarray]) -> Tensor:
    """Every canvas changed alone, `change(image [3, S, S], id) -> [3, S, S]`, then clipped to [0, 1] and float32."""
    images = x.detach().cpu().numpy()
    changed = np.empty(images.shape, dtype=np.float32)
    for place, (image, item) in enumerate(zip(images, ids, strict=True)):
        changed[place] = np.clip(change(image, item), 0.0, 1.0)
    return torch.from_numpy(changed).to(x.device)
