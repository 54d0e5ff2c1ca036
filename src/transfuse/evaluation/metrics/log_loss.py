"""Mean negative log-probability of the true class: without it confidence would go unjudged.

`-mean_i log p[i, y_i]` in nats; probabilities are clipped at 1e-15, so one sure error costs 34.5 nats and not infinity.
"""

from __future__ import annotations

import numpy as np

from transfuse.kinds import LEAST_PROBABILITY

CITATION = "Good, Rational decisions, Journal of the Royal Statistical Society B, 1952"
TRAITS = {"direction": "lower", "unit": "nats", "low": 0.0, "high": None, "takes": "probabilities"}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Its loss. [N], [N, C] -> [N]."""
    true = np.take_along_axis(probs, targets[:, None].astype(np.intp), axis=1)[:, 0]
    return -np.log(np.clip(true, LEAST_PROBABILITY, 1.0))
