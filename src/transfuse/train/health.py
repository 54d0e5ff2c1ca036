"""How each branch of a fusion fares; without it a branch could be dead and the accuracy would not tell.

On rows that were not trained on, through the fused head, with a branch's blocks replaced by their training mean (which
the joints make zero):

    solo_b     accuracy with all other branches silenced            none   accuracy with all of them silenced
    without_b  accuracy with branch b silenced                      whole  accuracy as it is
    gradient_b = g_b / Σ g,   g_b = mean over rows of the norm of d loss / d blocks of b
    share_b    mean weight where the method reports `shares`;   entropy = mean of −Σ_b s_b log s_b / log B, in [0, 1]

A branch is dead where its absence costs less than `MARGIN` and it alone adds less than that to silence, both by the
upper end of a 95 % interval over rows: too few rows show no death. Sources: Wang et al., CVPR 2020 (solo and joint);
Peng et al., On-the-fly gradient modulation, CVPR 2022 (neglected branches).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.train.batches import Batch
from transfuse.train.losses import task_loss

MARGIN = 0.02
MOST_ROWS, ROWS_LIVE, SLICE = 1024, 256, 256


@dataclass(frozen=True)
class Branch:
    """One branch: accuracies, shares, and whether it is dead."""

    solo: float
    without: float
    gradient: float
    share: float | None
    dead: bool


@dataclass(frozen=True)
class Health:
    """All branches in the order of the members; `whole` and `none` are accuracies with all and with none of them."""

    rows: int
    whole: float
    none: float
    entropy: float | None
    branches: tuple[Branch, ...]

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"branches": [asdict(branch) for branch in self.branches]}


@dataclass(frozen=True)
class Watch:
    """Looks at a network in training: after epochs 1, 2, 4, ... on a few held rows, and at its end on more of them."""

    learner: Callable[[nn.Module], Any]
    batch: Callable[[np.ndarray], Batch]
    tell: Callable[[int, Mapping[str, Any]], None]

    def due(self, epoch: int) -> bool:
        """Whether it is time to look."""
        return epoch & (epoch - 1) == 0

    def during(self, model: nn.Module, epoch: int, held: np.ndarray) -> None:
        """Tell how the branches fare where it is time for it."""
        if self.due(epoch):
            self.tell(epoch, self.after(model, _spread(held, ROWS_LIVE)).record())

    def after(self, model: nn.Module, held: np.ndarray) -> Health:
        """How the branches of a trained network fare."""
        return examine(self.learner(model.eval()), self.batch, _spread(held, MOST_ROWS))


def examine(learner: Any, batch: Callable[[np.ndarray], Batch], rows: np.ndarray) -> Health:
    """The health of every branch on these labelled rows."""
    count = max(learner.branches) + 1
    right: list[list[np.ndarray]] = [[] for _ in range(2 * count + 2)]
    norms, shares = np.zeros(count), []
    for start in range(0, len(rows), SLICE):
        given = batch(rows[start : start + SLICE])
        targets = torch.as_tensor(given.targets)
        with torch.no_grad():
            blocks = learner.blocks(given.inputs)
            targets = targets.to(blocks[0].device)
            for place, kept in enumerate(_patterns(count)):
                answers = learner.answer(_silenced(blocks, learner.branches, kept))
                right[place].append((answers.argmax(dim=1) == targets).cpu().numpy())
            shares += _shares(learner, blocks, count)
        norms += _norms(learner, blocks, targets, count)
    known = [np.concatenate(each) for each in right]
    weights = np.concatenate(shares) if shares else None
    return _summed(known, norms / len(rows), weights)


def _patterns(count: int) -> list[tuple[bool, ...]]:
    """Which branches speak: all, none, each alone, all but each."""
    alone = [tuple(index == branch for index in range(count)) for branch in range(count)]
    return [(True,) * count, (False,) * count, *alone, *(tuple(not on for on in each) for each in alone)]


def _silenced(blocks: Sequence[Tensor], branches: Sequence[int], kept: Sequence[bool]) -> list[Tensor]:
    return [block if kept[branch] else torch.zeros_like(block) for block, branch in zip(blocks, branches, strict=True)]


def _shares(learner: Any, blocks: Sequence[Tensor], count: int) -> list[np.ndarray]:
    """Weights [n, B] of the branches, where the method reports them; a branch's blocks together."""
    found = learner.shares(blocks)
    if found is None:
        return []
    summed = torch.zeros(len(found), count, dtype=found.dtype, device=found.device)
    return [summed.index_add(1, torch.tensor(learner.branches, device=found.device), found).double().cpu().numpy()]


def _norms(learner: Any, blocks: Sequence[Tensor], targets: Tensor, count: int) -> np.ndarray:
    """Sum over rows of the norm of each branch's gradient [B]."""
    asked = [block.detach().requires_grad_(True) for block in blocks]
    with torch.enable_grad():
        loss = task_loss("multiclass", learner.answer(asked), targets) * len(targets)
        gradients = torch.autograd.grad(loss, asked, allow_unused=True)
    squares = np.zeros((count, len(targets)))
    for branch, gradient in zip(learner.branches, gradients, strict=True):
        if gradient is not None:
            squares[branch] += gradient.flatten(1).double().square().sum(dim=1).cpu().numpy()
    return np.sqrt(squares).sum(axis=1)


def _summed(right: Sequence[np.ndarray], norms: np.ndarray, shares: np.ndarray | None) -> Health:
    whole, none, count = right[0], right[1], len(norms)
    total = float(norms.sum())
    branches = tuple(
        Branch(
            solo=float(right[2 + branch].mean()),
            without=float(right[2 + count + branch].mean()),
            gradient=float(norms[branch] / total) if total > 0 else 1.0 / count,
            share=None if shares is None else float(shares[:, branch].mean()),
            dead=_upper(right[2 + branch], none) < MARGIN and _upper(whole, right[2 + count + branch]) < MARGIN,
        )
        for branch in range(count)
    )
    entropy = None
    if shares is not None:
        logs = np.log(np.where(shares > 0, shares, 1.0))
        entropy = float(-(shares * logs).sum(axis=1).mean() / math.log(count))
    return Health(len(whole), float(whole.mean()), float(none.mean()), entropy, branches)


def _upper(more: np.ndarray, less: np.ndarray) -> float:
    """Upper end of the 95 % interval of the mean paired difference over rows."""
    gain = more.astype(np.float64) - less.astype(np.float64)
    return float(gain.mean() + 1.96 * gain.std() / math.sqrt(len(gain)))


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, spread evenly."""
    return np.sort(rows)[:: max(1, math.ceil(len(rows) / most))]


def mean(found: Sequence[Health]) -> Health:
    """The mean over folds, weighted by their rows; a branch is dead where it is so in every fold."""
    rows = np.array([each.rows for each in found], dtype=np.float64)

    def over(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.average(known, weights=rows)) if len(known) == len(values) else None

    sides = zip(*(each.branches for each in found), strict=True)
    branches = tuple(
        Branch(
            **{name: over([getattr(each, name) for each in same]) for name in ("solo", "without", "gradient", "share")},  # pyright: ignore[reportArgumentType]
            dead=all(each.dead for each in same),
        )
        for same in sides
    )
    whole, none = over([each.whole for each in found]), over([each.none for each in found])
    return Health(
        int(rows.sum()), float(whole or 0.0), float(none or 0.0), over([each.entropy for each in found]), branches
    )
