"""What the learned parts of stacked networks are given: without this file every step would compute again what no step
changes, the joints and the bodies that do not learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.mapped import room

if TYPE_CHECKING:
    from transfuse.train.loop import Lesson
    from transfuse.train.stack import Track

SCORING_BATCH = 256


@dataclass(frozen=True)
class Group:
    """Tracks that differ in their rates and first weights only, by number: they share rows, order and batches.

    `rows` are all that they are given, in rising order; `learn` and `held` are places among these. `wanted [n, C]` are
    the shares of classes that they should answer, smoothed; `targets [n]` the classes.
    """

    tracks: tuple[int, ...]
    rows: np.ndarray
    learn: np.ndarray
    held: np.ndarray | None
    targets: Tensor
    wanted: Tensor
    read: Callable[[np.ndarray], list[Tensor]]
    scratch: Path | None = None

    def computed(self, part: Callable[[list[Tensor]], list[Tensor]]) -> list[Tensor]:
        """What a part that does not learn makes of all rows [n, ...]."""
        whole: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, len(self.rows), SCORING_BATCH):
                pieces = part(self.read(self.rows[start : start + SCORING_BATCH]))
                whole = whole or [self._room(piece) for piece in pieces]
                for block, piece in zip(whole, pieces, strict=True):
                    block[start : start + SCORING_BATCH] = piece
        return whole

    def _room(self, piece: Tensor) -> Tensor:
        """Where a block of all rows goes: what is too large for memory lies in a file."""
        shape = (len(self.rows), *piece.shape[1:])
        if piece.device.type != "cpu":
            return piece.new_empty(shape)
        return torch.from_numpy(room(shape, piece.numpy().dtype, self.scratch))


def gathered(lesson: Lesson, tracks: Sequence[Track]) -> list[Group]:
    """The tracks in groups of equal size; each on its own where they cannot be grouped so."""
    found: list[list[int]] = []
    for place, track in enumerate(tracks):
        for members in found:
            if _alike(tracks[members[0]], track):
                members.append(place)
                break
        else:
            found.append([place])
    if len({len(members) for members in found}) > 1:
        found = [[place] for place in range(len(tracks))]
    return [_group(lesson, tracks, tuple(members)) for members in found]


def _alike(one: Track, other: Track) -> bool:
    same = one.seed == other.seed and np.array_equal(one.rows, other.rows)
    helds = one.held is other.held or (
        one.held is not None and other.held is not None and np.array_equal(one.held, other.held)
    )
    return same and helds and _settled_alike(one.model, other.model)


def _settled_alike(one: nn.Module, other: nn.Module) -> bool:
    """Whether what was settled beforehand is the same: statistics of the joints, kept columns and the like."""
    pairs = zip(one.named_buffers(), other.named_buffers(), strict=True)
    return all(torch.equal(value, again) for (_, value), (_, again) in pairs)


def _group(lesson: Lesson, tracks: Sequence[Track], members: tuple[int, ...]) -> Group:
    track: Any = tracks[members[0]]
    both = track.rows if track.held is None else np.concatenate([track.rows, track.held])
    rows = np.unique(both)
    targets = torch.from_numpy(lesson.targets[rows])
    classes, smoothing = track.model.head.out_features, lesson.schedule.smoothing
    wanted = functional.one_hot(targets, classes).float() * (1 - smoothing) + smoothing / classes
    device = track.model.head.weight.device
    return Group(
        tracks=members,
        rows=rows,
        learn=np.searchsorted(rows, track.rows),
        held=None if track.held is None else np.searchsorted(rows, track.held),
        targets=targets.to(device),
        wanted=wanted.to(device),
        read=lesson.feed.batch,
        scratch=lesson.scratch,
    )
