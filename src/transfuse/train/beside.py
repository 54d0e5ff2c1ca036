"""Without this, a network that learns from its first layer on could not stand on features that were computed before."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from transfuse.train.feed import Feed


class BesideFeed:
    """Cached blocks, if there are any, with the canvas as one more among them, at `place`."""

    def __init__(self, blocks: Feed | None, canvases: Feed, place: int) -> None:
        self.blocks, self.canvases, self.place = blocks, canvases, place

    def batch(self, rows: np.ndarray) -> list[Tensor]:
        given = [] if self.blocks is None else self.blocks.batch(rows)
        return [*given[: self.place], *self.canvases.batch(rows), *given[self.place :]]
