"""The shelf of compressions: one file makes a network smaller or faster, and the lift proves that it still answers.

    compress(model: Source, rows: Rows, **settings) -> Source

A file declares `CITATION`, `PARAMETERS`, `TRAITS` and one function, `compress`. `model` is the method's own copy, in
evaluation mode; `rows` are training rows, never any that choose or judge. `TRAITS = {"trains": whether what comes out
can be trained on, "smaller": whether fewer bytes are stored, "faster": whether less is computed}` and, where answers
must stay, `"near"`: by how much logits may move, as a share of their own spread. A method that cannot do without rows
says so with `wanted`.

Files with an underscore are no entries: `_lift` does what is common to all, `_checks` are the laws, `_branches` and
`_graph` hold what several share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transfuse.errors import UserError

SHELF = "compress"
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Rows:
    """Training rows as batches (canvas [n, 3, S, S] in [0, 1], targets [n, ...]), the same each time they are asked.

    `count` is how many rows there are in all; 0 where a source is compressed before anybody has seen the data. `emit`
    hears of what is found on the way.
    """

    side: int
    count: int = 0
    read: Callable[[], Iterator[Batch]] = lambda: iter(())
    emit: Callable[..., None] = lambda event, **details: None

    def __iter__(self) -> Iterator[Batch]:
        return self.read()

    def wanted(self, what: str) -> Rows:
        """These rows. Raises UserError where there are none: `what` cannot do without."""
        if not self.count:
            raise UserError(
                f"there is nothing to calibrate on: {what} rests on training rows", where="compress",
                hint="compress an arm of the recipe (of: NAME); before fusing, prune by magnitude or norm",
            )  # fmt: skip
        return self

    def example(self) -> Tensor:
        """Two different canvases [2, 3, S, S] for tracing: a ramp, and the same backwards."""
        ramp = torch.linspace(0, 1, 3 * self.side * self.side)
        return torch.stack([ramp, ramp.flip(0)]).reshape(2, 3, self.side, self.side)


def rows_of(canvas: Tensor, targets: Tensor, *, batch: int = 32, emit: Any = None) -> Rows:
    """Rows that lie in memory."""

    def read() -> Iterator[Batch]:
        yield from zip(canvas.split(batch), targets.split(batch), strict=True)

    more = {} if emit is None else {"emit": emit}
    return Rows(canvas.shape[-1], len(canvas), read, **more)
