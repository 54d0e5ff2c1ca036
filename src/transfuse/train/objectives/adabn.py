"""AdaBN learns from labels alone and then takes every statistic from the unlabelled items instead of the training rows.

    (x − μ_train) / σ_train  becomes  (x − μ_pool) / σ_pool     in every BatchNorm that learned, and in every joint

No weight hears of the pool. Under frozen sources this moves the standardised features of both places onto each other,
column by column. The epoch is chosen, as always, on held labelled rows, with the training rows' statistics still in
place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from transfuse.train import objectives
from transfuse.train.averaging import renew
from transfuse.train.batches import POOL, TRAIN, Batch
from transfuse.train.learner import Learner

CITATION = "Li et al., Revisiting batch normalization for practical domain adaptation, ICLR workshop 2017"
PARAMETERS: Mapping[str, object] = {}
TRAITS = {"complete": True, "kinds": "multiclass, multilabel, regression"}
NEEDS = ("pool",)


class Objective(objectives.Objective):
    """`{"labels": task loss}`; the pool is looked at once, at the end."""

    listens = False

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch = batches[TRAIN]
        return {"labels": self.about.loss(learner(batch.inputs), batch)}

    def finish(self, learner: Learner, streams: Mapping[str, Iterable[Batch]]) -> int:
        batches = list(streams[POOL])

        def through() -> None:
            for batch in batches:
                learner(batch.inputs)

        # A joint standardises what the norms below it give, and feeds the norms above it.
        renew(learner.module, through)
        with torch.no_grad():
            learner.restandardise([batch.inputs for batch in batches])
        renew(learner.module, through)
        return 0
