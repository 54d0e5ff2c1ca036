"""Mean negative log-probability of each label's truth: without it confidence in single labels would go unjudged.

`-mean_i mean_c [ y log p + (1 - y) log(1 - p) ]` in nats a label; probabilities are clipped to [1e-15, 1 - 1e-15], so
one sure error costs at most 34.5 nats and not infinity.
"""

from __future__ import annotations

import numpy as np

from transfuse.kinds import LEAST_PROBABILITY

CITATION = "Good, Rational decisions, Journal of the Royal Statistical Society B, 1952"
TRAITS = {
    "direction": "lower",
    "unit": "nats",
    "low": 0.0,
    "high": None,
    "takes": "probabilities",
    "kinds": "multilabel",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Its loss, mean over labels. [N, C], [N, C] -> [N]."""
    true = np.where(targets == 1, probs, 1.0 - probs)
    return -np.log(np.clip(true, LEAST_PROBABILITY, 1.0)).mean(axis=1)
