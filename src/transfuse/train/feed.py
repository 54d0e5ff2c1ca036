"""Where batches come from: cached blocks when everything below the frontier is frozen, canvases when it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from transfuse.errors import UserError

CANVAS_CACHE_BYTES = 1 << 30


class Feed(Protocol):
    """Gives what the network's trained part takes, for rows of the data set."""

    def batch(self, rows: np.ndarray) -> list[Tensor]: ...


class BlockFeed:
    """Blocks computed beforehand: `arrays` holds one [M, ...] per read, `rows [M]` says which data row each line is."""

    def __init__(self, rows: np.ndarray, arrays: Sequence[np.ndarray], device: torch.device) -> None:
        order = np.argsort(rows, kind="stable")
        self.rows = rows[order]
        self.order = order
        self.blocks = [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays]

    def batch(self, rows: np.ndarray) -> list[Tensor]:
        places = np.searchsorted(self.rows, rows)
        known = (places < len(self.rows)) & (self.rows[np.minimum(places, len(self.rows) - 1)] == rows)
        if not known.all():
            raise UserError("features are missing for some rows", got=f"{int((~known).sum())} rows without features")
        chosen = torch.from_numpy(self.order[places])
        return [block[chosen.to(block.device)] for block in self.blocks]


class CanvasFeed:
    """Canvases read and placed on demand; kept in memory while they fit, with the same values either way.

    Without `keep` none is: rows that are asked for once would fill a gigabyte for nothing.
    """

    def __init__(
        self, read: Callable[[Sequence[int]], np.ndarray], side: int, device: torch.device, *, keep: bool = True
    ) -> None:
        self.read = read
        self.device = device
        self.room = CANVAS_CACHE_BYTES // (3 * side * side * 4) if keep else 0
        self.kept: dict[int, np.ndarray] = {}

    def batch(self, rows: np.ndarray) -> list[Tensor]:
        wanted = [int(row) for row in rows]
        fresh = [row for row in dict.fromkeys(wanted) if row not in self.kept]
        read = dict(zip(fresh, self.read(fresh), strict=True)) if fresh else {}
        for row, canvas in read.items():
            if len(self.kept) < self.room:
                self.kept[row] = canvas
        stacked = np.stack([self.kept[row] if row in self.kept else read[row] for row in wanted])
        return [torch.from_numpy(stacked).to(self.device)]
