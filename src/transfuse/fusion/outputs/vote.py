"""Each member votes for one class, and how far a vote may be trusted is learned.

    votes[n, c] = number of members whose most probable class is c
    p[n, c]     = (votes[n, c] + a) / (K + a C)                                            [N, C]

`a` has the lowest log-loss on the rows apart; without it a class without a vote would be called impossible. A member
that finds two classes equally probable splits its vote. With `votes: rank` members give C - 1 points to their first
class, C - 2 to the next (Borda, 1781), as shares of one vote; equal probabilities share their points.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import rankdata

CITATION = "Lam, Suen, Application of majority voting to pattern recognition, IEEE SMC 1997; Borda, 1781"
PARAMETERS = {
    "votes": {
        "type": "str",
        "default": "first",
        "options": ("first", "rank"),
        "doc": "one vote for the first class, or points by rank",
    },
}
TRAITS = {"idempotent": False, "convex": False, "unanimous": True, "pooling": False, "symmetric": True}
LEAST, MOST = np.log(1e-4), np.log(1e4)


def fit(probabilities: np.ndarray, targets: np.ndarray, *, votes: str) -> dict[str, np.ndarray]:
    """The trust in a vote: `probabilities [K, N, C]`, `targets [N]` -> `smoothing []` and the kind of vote."""
    given = _votes(probabilities, ranked=votes == "rank")
    true = given[np.arange(len(targets)), targets]
    members, classes = len(probabilities), given.shape[1]

    def loss(log_smoothing: float) -> float:
        a = np.exp(log_smoothing)
        return float(-np.log((true + a) / (members + a * classes)).mean())

    found = minimize_scalar(loss, bounds=(LEAST, MOST), method="bounded", options={"xatol": 1e-9})
    return {"smoothing": np.array(np.exp(found.x)), "ranked": np.array(votes == "rank")}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    given, smoothing = _votes(probabilities, ranked=bool(state["ranked"])), float(state["smoothing"])
    return (given + smoothing) / (len(probabilities) + smoothing * given.shape[1])


def _votes(probabilities: np.ndarray, *, ranked: bool) -> np.ndarray:
    """Votes of all members together; each member gives one in all. [K, N, C] -> [N, C]."""
    if ranked:
        points = rankdata(probabilities, axis=2) - 1.0
    else:
        points = (probabilities == probabilities.max(axis=2, keepdims=True)).astype(np.float64)
    return (points / points.sum(axis=2, keepdims=True)).sum(axis=0)
