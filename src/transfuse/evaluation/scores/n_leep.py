"""N-LEEP: LEEP without the source's head; a Gaussian mixture on the features takes the place of its classes.

    LEEP with θ the mixture's posterior [N, Z] on the principal components that keep 80 % of the variance

Z is five times the classes, at most a tenth of the rows. The mixture is the likeliest of `starts` seeded ones; other
starts give other values, which is this score's own noise.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigvalsh

from transfuse.evaluation.material import Material
from transfuse.evaluation.probes.mixture import fitted
from transfuse.evaluation.probes.moments import principal
from transfuse.evaluation.scores.leep import likelihood
from transfuse.types import Undefined, Value

CITATION = "Li et al., Ranking neural checkpoints, CVPR 2021"
PARAMETERS = {
    "starts": {"type": "int", "default": 2, "low": 1, "high": 100, "doc": "seeded mixtures of which the best counts"},
    "widest": {"type": "int", "default": 64, "low": 1, "high": 4096, "doc": "principal components at most"},
}
TRAITS = {"default": False, "unit": "nats"}
ORDER = 33
KEPT, PER_CLASS, ROWS_EACH = 0.8, 5, 10


def score(material: Material, *, starts: int, widest: int) -> Value:
    """Mean log-likelihood of the labels under the mixture's empirical predictor."""
    gram = material.moments.gram
    if not np.diag(gram).any():
        return Undefined("the features are the same on all rows")
    values = np.maximum(eigvalsh(gram), 0.0)[::-1]
    shares = np.cumsum(values) / values.sum()
    width = min(int(np.searchsorted(shares, KEPT - 1e-12)) + 1, widest)
    block, targets = principal(material.square, width), np.asarray(material.targets)
    parts = max(min(PER_CLASS * len(material.present), len(targets) // ROWS_EACH), 1)
    posterior = max((fitted(block, parts, start) for start in range(starts)), key=lambda each: each.level).posterior
    return float(np.log(likelihood(posterior, targets, material.classes)).mean())
