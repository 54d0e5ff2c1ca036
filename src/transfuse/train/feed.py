"""Where batches come from: cached blocks when everything below the frontier is frozen, canvases when it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from transfuse.errors import UserError
from transfuse.mapped import picked

CANVAS_CACHE_BYTES = 1 << 30
# Blocks up to this size move to an accelerator whole; of larger ones only the batches do.
ON_DEVICE_BYTES = 4 << 30


class Feed(Protocol):
    """Gives what the network's trained part takes, for rows of the data set."""

    def batch(self, rows: np.ndarray) -> list[Tensor]: ...


class BlockFeed:
    """Blocks computed beforehand: `arrays` holds one [M, ...] per read, whole or in pieces that follow one another;
    `rows [M]` says which data row each line is. What lies in mapped files stays there."""

    def __init__(
        self, rows: np.ndarray, arrays: Sequence[np.ndarray | Sequence[np.ndarray]], device: torch.device
    ) -> None:
        order = np.argsort(rows, kind="stable")
        self.rows = rows[order]
        self.order = order
        self.device = device
        pieces = [[array] if isinstance(array, np.ndarray) else array for array in arrays]
        self.blocks = [_placed([np.ascontiguousarray(part) for part in parts], device) for parts in pieces]

    def batch(self, rows: np.ndarray) -> list[Tensor]:
        places = np.searchsorted(self.rows, rows)
        known = (places < len(self.rows)) & (self.rows[np.minimum(places, len(self.rows) - 1)] == rows)
        if not known.all():
            raise UserError("features are missing for some rows", got=f"{int((~known).sum())} rows without features")
        chosen = self.order[places]
        return [
            block[torch.from_numpy(chosen).to(self.device)]
            if isinstance(block, Tensor)
            else torch.from_numpy(picked(block, chosen)).to(self.device)
            for block in self.blocks
        ]


def _placed(pieces: list[np.ndarray], device: torch.device) -> Tensor | list[np.ndarray]:
    """Where a block waits: on the accelerator where it has room, else where it lies."""
    if device.type == "cpu" or sum(part.nbytes for part in pieces) > ON_DEVICE_BYTES:
        return pieces
    return torch.cat([torch.from_numpy(part).to(device) for part in pieces])


class CanvasFeed:
    """Canvases read and placed on demand; kept in memory while they fit, with the same values either way.

    Without `keep` none is: rows that are asked for once would fill a gigabyte for nothing.
    """

    def __init__(self, read: Callable[[Sequence[int]], np.ndarray], device: torch.device, *, keep: bool = True) -> None:
        self.read = read
        self.device = device
        self.room = CANVAS_CACHE_BYTES if keep else 0
        self.kept: dict[int, np.ndarray] = {}

    def batch(self, rows: np.ndarray) -> list[Tensor]:
        wanted = [int(row) for row in rows]
        fresh = [row for row in dict.fromkeys(wanted) if row not in self.kept]
        read = dict(zip(fresh, self.read(fresh), strict=True)) if fresh else {}
        for row, canvas in read.items():
            if self.room >= canvas.nbytes:
                self.kept[row] = canvas
                self.room -= canvas.nbytes
        stacked = np.stack([self.kept[row] if row in self.kept else read[row] for row in wanted])
        return [torch.from_numpy(stacked).to(self.device)]


class MixedFeed:
    """Cached blocks, if there are any, with the canvas as one more among them, at `place`: for a network that learns
    from its first layer on, but stands on features that were computed before."""

    def __init__(self, blocks: Feed | None, canvases: Feed, place: int) -> None:
        self.blocks, self.canvases, self.place = blocks, canvases, place

    def batch(self, rows: np.ndarray) -> list[Tensor]:
        given = [] if self.blocks is None else self.blocks.batch(rows)
        return [*given[: self.place], *self.canvases.batch(rows), *given[self.place :]]
