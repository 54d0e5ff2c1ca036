"""What objectives of domain adaptation share: fused features of labelled rows and of a pool, one look at each."""

from __future__ import annotations

from torch import Tensor

from transfuse.train.batches import POOL, TRAIN
from transfuse.train.learner import Learner
from transfuse.train.objectives import _contract


def both(about: _contract.About, learner: Learner, batches: _contract.Batches) -> tuple[Tensor, Tensor, Tensor]:
    """(task loss of the labelled rows, their fused features [n, D], those of the pool's rows [m, D]), float32."""
    labelled, others = learner.parts(batches[TRAIN].inputs), learner.parts(batches[POOL].inputs)
    return about.loss(labelled.logits.float(), batches[TRAIN]), labelled.fused.float(), others.fused.float()
