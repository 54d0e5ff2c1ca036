"""Members are added one at a time, each as often as it helps, so that weak ones stay out.

    S_0 = {},   S_j = S_{j-1} + the member with the lowest log-loss of the mean over S_j,   j = 1 ... rounds
    p[n] = mean over bags of mean_{k in S_best} p_k[n]                                     [N, C]

`S_best` is the prefix with the lowest loss, so on its rows a bag is never worse than its best member. Each bag picks on
rows drawn with replacement, which keeps a lucky member from being picked everywhere; one bag picks on the rows as they
are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from transfuse.kinds import LEAST_PROBABILITY
from transfuse.seeds import stream

if TYPE_CHECKING:
    from torch import Tensor

CITATION = "Caruana et al., Ensemble selection from libraries of models, ICML 2004"
PARAMETERS = {
    "rounds": {"type": "int", "default": 30, "low": 1, "high": 10000, "doc": "members picked, with replacement"},
    "bags": {"type": "int", "default": 10, "low": 1, "high": 1000, "doc": "draws of the rows to pick on"},
}
TRAITS = {
    "idempotent": True,
    "convex": True,
    "unanimous": True,
    "pooling": False,
    "symmetric": True,
    "kinds": "multiclass, multilabel",
}


def fit(probabilities: np.ndarray, targets: np.ndarray, *, rounds: int, bags: int) -> dict[str, np.ndarray]:
    """How often each member was picked: `probabilities [K, N, C]`, `targets [N]` -> `weights [K]`, which sum to one."""
    true = probabilities[:, np.arange(len(targets)), targets]
    rng = stream("greedy", "bags")
    draws = [rng.integers(0, len(targets), len(targets)) if bags > 1 else np.arange(len(targets)) for _ in range(bags)]
    return {"weights": np.mean([_picked(true[:, rows], rounds) for rows in draws], axis=0)}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    return np.tensordot(state["weights"], probabilities, axes=1)


def graph(state: dict[str, Tensor], probabilities: Tensor) -> Tensor:
    """`apply` on tensors, for a graph that runs elsewhere."""
    return (state["weights"][:, None, None] * probabilities).sum(dim=0)


def _picked(true: np.ndarray, rounds: int) -> np.ndarray:
    """Shares of the members in the best prefix, from the probabilities of the true class. [K, N] -> [K]."""
    counts, together = np.zeros(len(true)), np.zeros(true.shape[1])
    lowest, best = np.inf, counts
    for size in range(1, rounds + 1):
        losses = -np.log(np.maximum((together + true) / size, LEAST_PROBABILITY)).mean(axis=1)
        chosen = int(np.argmin(losses))
        counts = counts + (np.arange(len(true)) == chosen)
        together = together + true[chosen]
        if losses[chosen] < lowest:
            lowest, best = float(losses[chosen]), counts / size
    return best
