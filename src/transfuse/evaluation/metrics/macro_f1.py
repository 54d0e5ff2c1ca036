"""Mean F1 of the classes: without it rare classes would weigh as little as they are many.

`mean_c 2 tp_c / (predicted_c + actual_c)` over the classes that occur among targets or answers; a class that is
answered but never true (or true but never answered) has F1 0. For labels the same, where a label is answered from a
probability of 1/2 on.
"""

from __future__ import annotations

import numpy as np

CITATION = "Lewis, Evaluating text categorization, Speech and Natural Language, 1991"
TRAITS = {
    "direction": "higher",
    "unit": "share",
    "low": 0.0,
    "high": 1.0,
    "takes": "probabilities",
    "kinds": "multiclass, multilabel",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: right in its class's column, then 1 in its answer's, then 1 in its class's. [N], [N, C] -> [N, 3C].

    Of labels [N, C] each may be answered, and each may be true.
    """
    if targets.ndim == 2:
        said, true = probs >= 0.5, targets == 1
        return np.concatenate([said & true, said, true], axis=1).astype(np.float64)
    count, classes = probs.shape
    answers, rows = probs.argmax(axis=1), np.arange(count)
    found = np.zeros((count, 3 * classes))
    found[rows, targets] = answers == targets
    found[rows, classes + answers] = 1.0
    found[rows, 2 * classes + targets] = 1.0
    return found


def finish(sums: np.ndarray) -> np.ndarray:
    """Mean over classes that occur; NaN where there is no item. [..., 3C] -> [...]."""
    classes = sums.shape[-1] // 3
    right, both = sums[..., :classes], sums[..., classes : 2 * classes] + sums[..., 2 * classes :]
    score = np.divide(2.0 * right, both, out=np.zeros(right.shape), where=both > 0)
    with np.errstate(invalid="ignore"):
        return score.sum(axis=-1) / (both > 0).sum(axis=-1)
