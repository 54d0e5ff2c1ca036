"""What distillations share: rows with and without labels, heard in one step; else each would walk the streams anew."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from transfuse.errors import UserError
from transfuse.train import objectives
from transfuse.train.batches import POOL, TRAIN, Batch
from transfuse.train.learner import Learner

# Summed divergence of a batch's scores [n, C] from what its teachers say.
Apart = Callable[[Tensor, Batch], Tensor]


def taught(
    name: str, about: objectives.About, learner: Learner, batches: objectives.Batches, apart: Apart
) -> dict[str, Tensor]:
    """`{"labels": task loss, "teacher": mean of `apart` over all rows}`: those with labels, and those of the pool."""
    batch = batches[TRAIN]
    if not batch.beside.get("teacher"):
        raise UserError(f"{name} needs a teacher's scores of its rows", hint="train: {teacher: ARM}")
    scores = learner(batch.inputs).float()
    total, count = apart(scores, batch), len(scores)
    if POOL in batches:
        other = learner(batches[POOL].inputs).float()
        total, count = total + apart(other, batches[POOL]), count + len(other)
    return {"labels": about.loss(scores, batch), "teacher": total / count}


def given(scores: Tensor, batch: Batch) -> Tensor:
    """The teachers' log-probabilities [K, n, C]. Raises UserError where they answer other classes than the student."""
    found = torch.stack([each.to(scores.device).float() for each in batch.beside["teacher"]])
    if found.shape[1:] != scores.shape:
        raise UserError(
            "a teacher answers other classes than its student", expected=f"scores {tuple(scores.shape)}",
            got=str(tuple(found.shape[1:])),
        )  # fmt: skip
    return found
