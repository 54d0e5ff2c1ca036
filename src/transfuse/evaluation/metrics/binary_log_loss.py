"""Mean negative log-probability of each label's truth: without it confidence in single labels would go unjudged.

`-mean_i mean_c [ y log p + (1 - y) log(1 - p) ]` in nats a label; probabilities are clipped to [1e-15, 1 - 1e-15], so
one sure error costs at most 34.5 nats and not infinity.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.metrics.log_loss import FLOOR

CITATION = "Good, Rational decisions, Journal of the Royal Statistical Society B, 1952"
TRAITS = {
    "direction": "lower",
    "unit": "nats",
    "item_mean": True,
    "low": 0.0,
    "high": None,
    "takes": "probabilities",
    "kinds": "multilabel",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: its loss, mean over labels, and 1. [N, C], [N, C] -> [N, 2]."""
    true = np.where(targets == 1, probs, 1.0 - probs)
    loss = -np.log(np.clip(true, FLOOR, 1.0)).mean(axis=1)
    return np.stack([loss, np.ones(len(loss))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Summed loss over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
