"""What one step of training is given: batches of named streams, each with what is known of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from transfuse.seeds import stream
from transfuse.train.feed import Feed

TRAIN, POOL = "train", "pool"
# Rows that statistics are taken from before and after training.
SETTLING_ROWS = 4096


@dataclass(frozen=True)
class Batch:
    """Some rows of a stream: what the network takes, what it should answer, and what others said of the same rows.

    `targets` are class numbers [N], or shares [N, C] once mixed; None where the stream has no labels. `beside` holds
    further tensors of these very rows by name (a teacher's scores, say), each as its feed gives them.
    """

    rows: np.ndarray
    inputs: list[Tensor]
    targets: Tensor | None = None
    beside: Mapping[str, list[Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """Rows that training draws from beside its labelled ones: their feed, perhaps targets of all rows of the data, and
    feeds whose tensors are joined row by row."""

    feed: Feed
    rows: np.ndarray
    targets: np.ndarray | None = None
    beside: Mapping[str, Feed] = field(default_factory=dict)

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of these rows."""
        targets = None if self.targets is None else torch.from_numpy(self.targets[rows])
        return Batch(
            rows, self.feed.batch(rows), targets, {name: feed.batch(rows) for name, feed in self.beside.items()}
        )

    def endless(self, size: int, *names: str | int) -> Iterator[Batch]:
        """Batches of `size` rows for ever: the rows in a new order each time round, by the random stream of `names`."""
        order = stream(*names)
        waiting = np.zeros(0, dtype=np.int64)
        while True:
            while len(waiting) < size:
                waiting = np.concatenate([waiting, order.permutation(self.rows)])
            yield self.batch(waiting[:size])
            waiting = waiting[size:]

    def some(self, size: int, most: int = SETTLING_ROWS) -> Iterator[Batch]:
        """At most about so many of the rows, spread evenly, in batches of `size`."""
        return (self.batch(chosen) for chosen in in_batches(spread_evenly(self.rows, most), size))


def spread_evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """Every n-th of the rows, ascending: fewer than twice `most`."""
    return np.sort(rows)[:: max(1, len(rows) // most)]


def in_batches(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Batches in order; a last one of a single row joins its neighbour, since batch statistics need two."""
    parts = list(slices(rows, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    yield from parts


def slices(rows: Sequence[int] | np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The rows in order, `size` at a time."""
    array = np.asarray(rows)
    return (array[start : start + size] for start in range(0, len(array), size))
