"""kNN: the share of rows that their nearest neighbours in other folds name right.

A row's neighbours are the k rows of other folds at the least Euclidean distance; the most frequent class answers, and
of several equally frequent ones the lowest. Rows of one group lie in one fold, so no copy answers for its twin.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.types import Undefined, Value

CITATION = "Cover, Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory, 1967"
PARAMETERS = {"k": {"type": "int", "default": 5, "low": 1, "high": 1000, "doc": "neighbours that answer"}}
NEEDS = ("folds",)
TRAITS = {"default": True, "unit": "share"}
ORDER = 50
BLOCK = 1024


def score(material: Material, *, k: int) -> Value:
    """Out-of-fold accuracy; undefined where some fold leaves fewer than k rows to ask."""
    block, targets = material.square, np.asarray(material.targets)
    folds = np.asarray(material.folds)
    lengths = np.einsum("nd,nd->n", block, block)
    right = 0
    for fold in np.unique(folds):
        held, known = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(known) < k:
            return Undefined(f"{len(known)} rows are left to ask, fewer than {k} neighbours")
        for start in range(0, len(held), BLOCK):
            rows = held[start : start + BLOCK]
            distances = lengths[known] - 2.0 * block[rows] @ block[known].T
            near = np.argpartition(distances, k - 1, axis=1)[:, :k]
            votes = np.zeros((len(rows), material.classes))
            np.add.at(votes, (np.arange(len(rows))[:, None], targets[known[near]]), 1.0)
            right += int((votes.argmax(axis=1) == targets[rows]).sum())
    return right / len(targets)
