"""What one step of training is given: batches of named streams, each with what is known of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from transfuse.seeds import stream
from transfuse.train.feed import Feed

TRAIN, POOL = "train", "pool"


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
