"""Boosted trees learn when a member's word for a class is worth something; one model serves all classes.

    f(n, c) = trees( logit p_1[n, c], ..., logit p_K[n, c], logit mean_k p_k[n, c], rank of c in that mean )
    p[n, c] = exp(t f(n, c)) / sum_c' exp(t f(n, c'))                                      [N, C]

Every pair (row, class) is one example: is this the class? Classes share one model, so another order of the classes
changes nothing, and a class without a row to fit on still gets its score. At most 40,000 pairs are learned from: all
right ones, and as many wrong ones as there is room for, the most probable first. `t` has the lowest log-loss on rows
that trees grown without them score (three folds). Above 30 million entries [K, N, C] it is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit, softmax
from scipy.stats import rankdata

from transfuse.fusion.sizes import refuse_large
from transfuse.seeds import stream

REVISION = 2
CITATION = "Friedman, Greedy function approximation: a gradient boosting machine, Annals of Statistics 2001"
PARAMETERS = {
    "trees": {"type": "int", "default": 60, "low": 1, "high": 2000, "example": 5, "doc": "number of trees"},
    "depth": {"type": "int", "default": 3, "low": 1, "high": 8, "doc": "depth of a tree"},
    "rate": {"type": "float", "default": 0.1, "low": 1e-4, "high": 1.0, "doc": "share of each tree that is added"},
}
TRAITS = {
    "idempotent": False,
    "convex": False,
    "unanimous": False,
    "pooling": False,
    "symmetric": True,
    "kinds": "multiclass, multilabel",
}
COST = {"microseconds": 0.8, "times": ["trees", "depth"], "pairs": 40_000}
FLOOR, LARGEST, FOLDS = 1e-6, 40_000, 3
# Pairs are gone through in pieces that stay in the processor's cache.
PIECE = 1 << 15


def fit(
    probabilities: np.ndarray, targets: np.ndarray, *, trees: int, depth: int, rate: float
) -> dict[str, np.ndarray]:
    """`probabilities [K, N, C]`, `targets [N]` -> the trees as arrays [trees, nodes], and `sharpness []`.

    With fewer rows than folds, or rows of one class only, the sharpness stays 1: nothing is there to learn it from.
    """
    refuse_large(probabilities, "boost")
    settings = {"n_estimators": trees, "max_depth": depth, "learning_rate": rate}
    rows = len(targets)
    apart, seen = np.zeros(probabilities.shape[1:]), _seen(probabilities)
    mean, right = probabilities.mean(axis=0), np.arange(probabilities.shape[2]) == targets[:, None]

    def grown(rows: np.ndarray) -> dict[str, np.ndarray]:
        return _grown(seen[rows], mean[rows], right[rows], settings)

    if rows >= FOLDS:
        fold = stream("boosting", "folds").permutation(rows) % FOLDS
        for number in range(FOLDS):
            held = fold == number
            apart[held] = _scores(grown(~held), seen[held])
    return grown(np.ones(rows, dtype=bool)) | {"sharpness": np.array(_sharpness(apart, targets))}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    return softmax(float(state["sharpness"]) * _scores(state, _seen(probabilities)), axis=1)


def _grown(seen: np.ndarray, mean: np.ndarray, right: np.ndarray, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """The trees for these rows, as arrays: `seen [n, C, K + 2]`, the members' `mean` and what is `right` [n, C]."""
    from sklearn.ensemble import GradientBoostingClassifier

    pairs = _examples(mean, right)
    model = GradientBoostingClassifier(**settings, random_state=0)
    model.fit(seen.reshape(-1, seen.shape[2])[pairs], right.reshape(-1)[pairs])
    return _arrays([estimator.tree_ for estimator in model.estimators_[:, 0]], settings["learning_rate"])


def _sharpness(scores: np.ndarray, targets: np.ndarray) -> float:
    if not np.ptp(scores):
        return 1.0

    def loss(log_sharpness: float) -> float:
        return float(-log_softmax(np.exp(log_sharpness) * scores, axis=1)[np.arange(len(targets)), targets].mean())

    found = minimize_scalar(loss, bounds=(np.log(1e-2), np.log(1e2)), method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x))


def _seen(probabilities: np.ndarray) -> np.ndarray:
    """What a tree looks at for each pair: [K, N, C] -> [N, C, K + 2] float32, the precision trees compare in."""
    mean = probabilities.mean(axis=0)
    rank = rankdata(-mean, axis=1)
    logits = logit(np.clip(np.concatenate([probabilities, mean[None]]), FLOOR, 1 - FLOOR))
    return np.moveaxis(np.concatenate([logits, rank[None]]), 0, 2).astype(np.float32)


def _examples(mean: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Numbers of the pairs to learn from, in ascending order: right ones, then wrong ones by falling probability."""
    order = np.lexsort((np.arange(right.size), -mean.ravel(), ~right.ravel()))
    return np.sort(order[: max(LARGEST, 2 * len(right))])


def _arrays(trees: list, rate: float) -> dict[str, np.ndarray]:
    """All trees side by side, padded to the largest: children, column and threshold of a split, values of leaves."""
    nodes = max(tree.node_count for tree in trees)

    def padded(columns: list[np.ndarray]) -> np.ndarray:
        return np.stack([np.pad(column, (0, nodes - len(column))) for column in columns])

    return {
        "left": padded([tree.children_left for tree in trees]),
        "right": padded([tree.children_right for tree in trees]),
        "column": padded([tree.feature for tree in trees]),
        "threshold": padded([tree.threshold for tree in trees]),
        "value": rate * padded([tree.value[:, 0, 0] for tree in trees]),
        "depth": np.array(max(tree.max_depth for tree in trees)),
    }


def _scores(state: dict[str, np.ndarray], seen: np.ndarray) -> np.ndarray:
    """The sum over trees. [N, C, K + 2] -> [N, C]."""
    flat = seen.reshape(-1, seen.shape[2])
    names = ("left", "right", "column", "threshold", "value")
    trees = [*zip(*(_single(state[name]) if name == "threshold" else state[name] for name in names), strict=True)]
    total = np.zeros(len(flat))
    for start in range(0, len(flat), PIECE):
        columns = np.ascontiguousarray(flat[start : start + PIECE].T)
        for tree in trees:
            total[start : start + PIECE] += _leaves(tree, columns, 0)
    return total.reshape(seen.shape[:2])


def _single(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above: what is seen in float32 lies on the same side of it."""
    narrow = thresholds.astype(np.float32)
    return np.where(narrow > thresholds, np.nextafter(narrow, np.float32(-np.inf)), narrow)


def _leaves(tree: tuple[np.ndarray, ...], columns: np.ndarray, node: int) -> Any:
    """The value of the leaf that each pair comes to from this node on; a leaf's children are -1. [K + 2, n] -> [n]."""
    left, right, column, threshold, value = tree
    if left[node] < 0:
        return value[node]
    lower = columns[column[node]] <= threshold[node]
    return np.where(lower, _leaves(tree, columns, int(left[node])), _leaves(tree, columns, int(right[node])))
