"""A router trusts each member anew for every row, by how it answers there.

    s_k[n] = b_k + theta . [ top, margin, entropy, agreement ]_k[n],   w[n] = softmax_k(s[n])
    p[n]   = sum_k w_k[n] p_k[n]                                                           [N, C]

top is the member's highest probability, margin its distance to the second, entropy in units of log C, agreement the
probability that the mean of all gives to the member's class. theta and b are learned on the rows apart with a small
penalty; at their start (zero) the pool is the plain mean. Above 30 million entries [K, N, C] it is refused.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from transfuse.fusion.sizes import refuse_large
from transfuse.kinds import LEAST_PROBABILITY

REVISION = 2
CITATION = "Jacobs, Jordan, Nowlan, Hinton, Adaptive mixtures of local experts, 1991; Woods et al., PAMI 1997"
PARAMETERS = {
    "penalty": {"type": "float", "default": 1e-2, "low": 1e-9, "high": 1e6, "doc": "strength of the pull to the mean"},
}
TRAITS = {
    "idempotent": True,
    "convex": True,
    "unanimous": True,
    "pooling": False,
    "symmetric": True,
    "kinds": "multiclass, multilabel",
}


def fit(probabilities: np.ndarray, targets: np.ndarray, *, penalty: float) -> dict[str, np.ndarray]:
    """`probabilities [K, N, C]`, `targets [N]` -> `slope`, `centre` and `spread [4]`, and `bias [K]`."""
    refuse_large(probabilities, "route")
    seen = _seen(probabilities)
    centre, spread = seen.mean(axis=(0, 1)), np.maximum(seen.std(axis=(0, 1)), 1e-6)
    seen = (seen - centre) / spread
    true = np.maximum(probabilities[:, np.arange(len(targets)), targets], LEAST_PROBABILITY)
    members, kinds = len(true), seen.shape[2]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, bias = parameters[:kinds], parameters[kinds:]
        weights = softmax(seen @ slope + bias[:, None], axis=0)
        pooled = (weights * true).sum(axis=0)
        pull = weights - weights * true / pooled
        slopes = np.concatenate([np.einsum("kn,knf->f", pull, seen), pull.sum(axis=1)]) / true.shape[1]
        return float(-np.log(pooled).mean() + penalty * (parameters @ parameters)), slopes + 2 * penalty * parameters

    options = {"maxiter": 5000, "gtol": 1e-10, "ftol": 1e-15}
    found = minimize(loss, np.zeros(kinds + members), jac=True, method="L-BFGS-B", options=options).x
    return {"slope": found[:kinds], "bias": found[kinds:], "centre": centre, "spread": spread}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    seen = (_seen(probabilities) - state["centre"]) / state["spread"]
    weights = softmax(seen @ state["slope"] + state["bias"][:, None], axis=0)
    return (weights[:, :, None] * probabilities).sum(axis=0)


def _seen(probabilities: np.ndarray) -> np.ndarray:
    """What the router looks at: [K, N, C] -> [K, N, 4]."""
    parted = np.partition(probabilities, -2, axis=2)
    top, second = parted[..., -1], parted[..., -2]
    logs = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    entropy = -(probabilities * logs).sum(axis=2) / np.log(probabilities.shape[2])
    mean = np.broadcast_to(probabilities.mean(axis=0), probabilities.shape)
    agreement = np.take_along_axis(mean, probabilities.argmax(axis=2)[..., None], axis=2)[..., 0]
    return np.stack([top, top - second, entropy, agreement], axis=2)
