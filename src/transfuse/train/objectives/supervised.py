"""Supervised training makes the network's answers those of the labels, by the loss of the task's kind.

    loss = mean over rows of  −Σ_c y_c log softmax(logits)_c     for classes, y smoothed as the schedule says

The losses of other kinds of task stand in `train/losses.py`. Targets may be class numbers or shares of classes.
"""

from __future__ import annotations

from torch import Tensor

from transfuse.train import objectives
from transfuse.train.batches import TRAIN
from transfuse.train.learner import Learner

CITATION = "cross-entropy; label smoothing: Szegedy et al., Rethinking the Inception architecture, CVPR 2016"
PARAMETERS: dict[str, dict[str, object]] = {}
TRAITS = {"complete": True, "kinds": "multiclass, multilabel, regression"}


class Objective(objectives.Objective):
    """`{"supervised": loss}` of the labelled training rows."""

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch = batches[TRAIN]
        return {"supervised": self.about.loss(learner(batch.inputs), batch)}
