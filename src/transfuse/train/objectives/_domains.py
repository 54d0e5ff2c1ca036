"""What objectives of domain adaptation share: fused features of labelled rows and of a pool, one look at each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from transfuse.train import objectives
from transfuse.train.batches import POOL, TRAIN
from transfuse.train.learner import Learner


def both(about: objectives.About, learner: Learner, batches: objectives.Batches) -> tuple[Tensor, Tensor, Tensor]:
    """(task loss of the labelled rows, their fused features [n, D], those of the pool's rows [m, D]), float32."""
    labelled, others = learner.parts(batches[TRAIN].inputs), learner.parts(batches[POOL].inputs)
    return about.loss(labelled.logits.float(), batches[TRAIN]), labelled.fused.float(), others.fused.float()


class Drawn(objectives.Objective):
    """`{"labels": task loss, NAME: distance}`: labels, and `pull` times how far apart features of two places are."""

    name: str

    def __init__(self, about: objectives.About, *, pull: float) -> None:
        super().__init__(about)
        self.pull = pull

    def weights(self, progress: float) -> Mapping[str, float]:
        return {self.name: self.pull}

    @abstractmethod
    def apart(self, one: Tensor, other: Tensor) -> Tensor:
        """The distance of features [n, D] and [m, D]."""

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        loss, labelled, others = both(self.about, learner, batches)
        return {"labels": loss, self.name: self.apart(labelled, others)}
