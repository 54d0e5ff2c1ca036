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

from transfuse.fusion.heat import pieces

CITATION = "Lam, Suen, Application of majority voting to pattern recognition, IEEE SMC 1997; Borda, 1781"
PARAMETERS = {
    "votes": {
        "type": "str",
        "default": "first",
        "options": ("first", "rank"),
        "doc": "one vote for the first class, or points by rank",
    },
}
TRAITS = {
    "idempotent": False,
    "convex": False,
    "unanimous": True,
    "pooling": False,
    "symmetric": True,
    "kinds": "multiclass, multilabel",
}
REVISION = 2
LEAST, MOST = np.log(1e-4), np.log(1e4)


def fit(probabilities: np.ndarray, targets: np.ndarray, *, votes: str) -> dict[str, np.ndarray]:
    """The trust in a vote: `probabilities [K, N, C]`, `targets [N]` -> `smoothing []` and the kind of vote."""
    members, classes = len(probabilities), probabilities.shape[2]
    share = _points if votes == "rank" else _firsts
    true = np.concatenate([share(member, targets[:, None]) for member in probabilities], axis=1).sum(axis=1)

    def loss(log_smoothing: float) -> float:
        a = np.exp(log_smoothing)
        return float(-np.log((true + a) / (members + a * classes)).mean())

    found = minimize_scalar(loss, bounds=(LEAST, MOST), method="bounded", options={"xatol": 1e-9})
    return {"smoothing": np.array(np.exp(found.x)), "ranked": np.array(votes == "rank")}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    smoothing = float(state["smoothing"])
    given = np.zeros(probabilities.shape[1:])
    for member in probabilities:
        given += _ranked(member) if bool(state["ranked"]) else _first(member)
    return (given + smoothing) / (len(probabilities) + smoothing * probabilities.shape[2])


def _first(member: np.ndarray) -> np.ndarray:
    """One member's vote for its first class, shared where several are first. [N, C] -> [N, C]."""
    top = member == member.max(axis=1, keepdims=True)
    return top / top.sum(axis=1, keepdims=True)


def _ranked(member: np.ndarray) -> np.ndarray:
    """One member's points by rank, as shares of one vote. [N, C] -> [N, C].

    One sorting a row; equal probabilities share the points of the places that they take.
    """
    points, places = np.empty(member.shape), np.arange(member.shape[1], dtype=np.float64)
    for rows in pieces(*member.shape):
        order = np.argsort(member[rows], axis=1)
        ordered = np.take_along_axis(member[rows], order, axis=1)
        found = np.broadcast_to(places, ordered.shape)
        equal = ordered[:, 1:] == ordered[:, :-1]
        tied = equal.any(axis=1)
        if tied.any():
            found = found.copy()
            found[tied] = _averaged(equal[tied], places)
        np.put_along_axis(points[rows], order, found, axis=1)
    return points / _total(member.shape[1])


def _averaged(equal: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Means of the first and the last place of each run of equals; `equal [n, C - 1]` to the next. -> [n, C]."""
    edge = np.ones((len(equal), 1), dtype=bool)
    begins, ends = np.hstack([edge, ~equal]), np.hstack([~equal, edge])
    first = np.maximum.accumulate(np.where(begins, places, 0.0), axis=1)
    last = np.minimum.accumulate(np.where(ends, places, places[-1])[:, ::-1], axis=1)[:, ::-1]
    return (first + last) / 2


def _firsts(member: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """`_first` of the asked classes [N, 1] alone."""
    top = member.max(axis=1, keepdims=True)
    return (np.take_along_axis(member, asked, axis=1) == top) / (member == top).sum(axis=1, keepdims=True)


def _points(member: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """`_ranked` of the asked classes [N, 1] alone: classes below, and half of those that are equal."""
    own = np.take_along_axis(member, asked, axis=1)
    below = (member < own).sum(axis=1, keepdims=True)
    equal = (member == own).sum(axis=1, keepdims=True) - 1
    return (below + equal / 2) / _total(member.shape[1])


def _total(classes: int) -> float:
    return max(1.0, classes * (classes - 1) / 2)
