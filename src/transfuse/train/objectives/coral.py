"""CORAL makes features of labelled rows and of unlabelled ones from elsewhere vary alike.

    loss = task loss  +  pull · ‖C_labelled − C_pool‖²_F / (4 D²)

C are the covariances [D, D] of the fused features in one step's batches (divided by rows − 1; 0 of one row).
"""

from __future__ import annotations

import torch
from torch import Tensor

from transfuse.train.objectives._domains import Drawn

CITATION = "Sun, Saenko, Deep CORAL: correlation alignment for deep domain adaptation, ECCV workshops 2016"
PARAMETERS = {
    "pull": {"type": "float", "default": 1.0, "low": 0.0, "high": 1e6, "doc": "weight of the covariances' distance"},
}
TRAITS = {"complete": True, "kinds": "multiclass, multilabel, regression"}
NEEDS = ("pool",)


class Objective(Drawn):
    """`{"labels": task loss, "coral": distance}`."""

    name = "coral"

    def apart(self, one: Tensor, other: Tensor) -> Tensor:
        return distance(one, other)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """‖C_one − C_other‖²_F / (4 D²) of features [n, D] and [m, D]."""
    first, second = (_covariance(each) for each in (one, other))
    return (first - second).square().sum() / (4.0 * one.shape[1] ** 2)


def _covariance(values: Tensor) -> Tensor:
    centred = values - values.mean(dim=0)
    return torch.mm(centred.T, centred) / max(len(values) - 1, 1)
