"""The objective shelf: named losses of named batches; without it every new loss would be a change to the loop.

A file declares `CITATION`, `PARAMETERS` (given flat in a recipe's `train:`), `TRAITS = {"complete": bool}` and `NEEDS`,
and defines one class `Objective`. `complete` says that it can be trained for alone; what is not complete comes on top
of `supervised`. `NEEDS` names the streams it reads beside the labelled training rows (`unlabelled`, say), and as
`teacher` and the like what must be joined to these rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.registry import find
from transfuse.train.batches import Batch
from transfuse.train.learner import Learner
from transfuse.train.losses import task_loss
from transfuse.types import TaskKind

SHELF = "train/objectives"
Batches = Mapping[str, Batch]
# Mean losses by name over labelled rows, in evaluation mode.
Measure = Callable[[np.ndarray], Mapping[str, float]]


class DivergedError(Exception):
    """The loss stopped being a number, or an adaptation was given up; so is the arm, and the others go on.

    `items` is how many it had gone through: what was trained in vain was paid for too.
    """

    def __init__(self, reason: str, items: int = 0) -> None:
        self.items = items
        super().__init__(reason)


@dataclass(frozen=True)
class About:
    """What an objective may know beforehand: the task's kind, label smoothing, the network it will train, and of a
    regression the spread of its targets [T], in units of which they count. `beside` holds what others said of all its
    training rows, by name."""

    kind: TaskKind
    smoothing: float
    learner: Learner
    spread: Tensor | None = None
    beside: Mapping[str, list[Tensor]] = field(default_factory=dict)

    def loss(self, scores: Tensor, batch: Batch) -> Tensor:
        """The task's own loss of these scores; the batch must have targets."""
        if batch.targets is None:
            raise UserError("a loss against labels needs rows that have labels")
        targets = batch.targets
        if self.spread is not None:
            unit = self.spread.to(scores.device, torch.float32)
            scores, targets = scores.float() / unit, targets.to(scores.device).float() / unit
        return task_loss(self.kind, scores, targets, self.smoothing)


class Objective(nn.Module, ABC):
    """`forward(learner, {stream: batch}) -> {name: loss}`; it may own what is trained along, such as a discriminator.

    The loop minimises the sum of the losses, each times its weight (1 where `weights` does not name it). Steps give it
    batches of the further streams only where it `listens`; else these wait for `finish`.
    """

    listens = True

    def __init__(self, about: About) -> None:
        super().__init__()
        self.about = about

    def weights(self, progress: float) -> Mapping[str, float]:
        """Weights of the losses once this share of all steps is done, from 0 to 1."""
        return {}

    def keep(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The rows to train on, of those given; the rest it may use for itself."""
        return rows

    def after(self, epoch: int, losses: Measure) -> None:
        """After each epoch (from 1)."""

    def further(self, rows: int) -> int:
        """How many rows a step sends through the network beside those of its batches, when so many are labelled."""
        return 0

    def finish(self, learner: Learner, streams: Mapping[str, Iterable[Batch]]) -> int:
        """Once, with the kept epoch's weights in place: `streams` gives some thousand rows of each, in batches. How
        many rows it learned from."""
        return 0

    @abstractmethod
    def forward(self, learner: Learner, batches: Batches) -> dict[str, Tensor]:
        """The losses by name, each a scalar."""


class Together(Objective):
    """Several objectives at once; two losses of one name are refused, since their sum would hide which one falls."""

    def __init__(self, about: About, parts: Sequence[Objective]) -> None:
        super().__init__(about)
        self.parts = nn.ModuleList(parts)
        self.listens = any(part.listens for part in parts)

    def weights(self, progress: float) -> dict[str, float]:
        return {name: weight for part in self.parts for name, weight in part.weights(progress).items()}  # pyright: ignore

    def keep(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for part in self.parts:
            rows = part.keep(rows, rng)  # pyright: ignore[reportCallIssue]
        return rows

    def after(self, epoch: int, losses: Measure) -> None:
        for part in self.parts:
            part.after(epoch, losses)  # pyright: ignore[reportCallIssue]

    def further(self, rows: int) -> int:
        return sum(part.further(rows) for part in self.parts)  # pyright: ignore

    def finish(self, learner: Learner, streams: Mapping[str, Iterable[Batch]]) -> int:
        return sum(part.finish(learner, streams) for part in self.parts)  # pyright: ignore

    def forward(self, learner: Learner, batches: Batches) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for part in self.parts:
            for name, loss in part(learner, batches).items():
                if name in found:
                    raise UserError(f"two objectives both call a loss '{name}'", hint="train for one of them")
                found[name] = loss
        return found


def objective(named: Sequence[tuple[str, Mapping[str, Any]]], about: About) -> Objective:
    """The objectives of a schedule, by name with whole settings, made for one network."""
    made = [find(SHELF, name).load().Objective(about, **settings) for name, settings in named]
    return made[0] if len(made) == 1 else Together(about, made)


def total(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of named losses."""
    if not losses:
        raise UserError("an objective gave no loss")
    first, *rest = [loss * weights[name] if name in weights else loss for name, loss in losses.items()]
    return sum(rest, start=first)
