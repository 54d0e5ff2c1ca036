"""Rows cut into blocks that are extracted each by itself; without it a million items would be one step, whole or lost.

A shard is a step like another: it is kept as soon as it is done, any worker may take it, and a run that was killed goes
on at the one it was in. The selection rows stay one block, since the questions asked of them look at all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from transfuse.plan.setting import RowBlock

# Whole batches, so that no row's neighbours, and with them its low bits, depend on the shards.
SHARD_ROWS = 16_384

# Rows kept in the store, by their key.
Keep = Callable[[Mapping[str, np.ndarray]], str]


def shards(name: str, rows: np.ndarray, keep: Keep) -> tuple[RowBlock, ...]:
    """Ascending rows as blocks of at most `SHARD_ROWS`; one of the plain name where they are few."""
    ordered = np.unique(rows)
    parts = [ordered[start : start + SHARD_ROWS] for start in range(0, len(ordered), SHARD_ROWS)] or [ordered]
    width = len(str(len(parts)))
    names = [name] if len(parts) == 1 else [f"{name} {at:0{width}d} of {len(parts)}" for at in range(1, len(parts) + 1)]
    return tuple(RowBlock(own, keep({"rows": part}), len(part)) for own, part in zip(names, parts, strict=True))
