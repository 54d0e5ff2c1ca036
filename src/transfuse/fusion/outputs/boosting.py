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
    "trees": {"type": "int", "default": 60, "low": 1, "high": 2000, "doc": "number of trees"},
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
FLOOR, LARGEST, FOLDS = 1e-6, 40_000, 3


def fit(
    probabilities: np.ndarray, targets: np.ndarray, *, trees: int, depth: int, rate: float
) -> dict[str, np.ndarray]:
    """`probabilities [K, N, C]`, `targets [N]` -> the trees as arrays [trees, nodes], and `sharpness []`.

    With fewer rows than folds, or rows of one class only, the sharpness stays 1: nothing is there to learn it from.
    """
    refuse_large(probabilities, "boost")
    settings = {"n_estimators": trees, "max_depth": depth, "learning_rate": rate}
    rows = len(targets)
    apart = np.zeros(probabilities.shape[1:])
    if rows >= FOLDS:
        fold = stream("boosting", "folds").permutation(rows) % FOLDS
        for number in range(FOLDS):
            held = fold == number
            apart[held] = _scores(_grown(probabilities[:, ~held], targets[~held], settings), probabilities[:, held])
    return _grown(probabilities, targets, settings) | {"sharpness": np.array(_sharpness(apart, targets))}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    return softmax(float(state["sharpness"]) * _scores(state, probabilities), axis=1)


def _grown(probabilities: np.ndarray, targets: np.ndarray, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """The trees for these rows, as arrays."""
    from sklearn.ensemble import GradientBoostingClassifier

    seen = _seen(probabilities)
    right = np.arange(probabilities.shape[2]) == targets[:, None]
    pairs = _examples(probabilities.mean(axis=0), right)
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


def _scores(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """The sum over trees; a leaf's children are -1, and a pair that is there stays. [K, N, C] -> [N, C]."""
    seen = _seen(probabilities)
    flat = seen.reshape(-1, seen.shape[2])
    pairs, total = np.arange(len(flat)), np.zeros(len(flat))
    for left, right, column, threshold, value in zip(
        *(state[name] for name in ("left", "right", "column", "threshold", "value")), strict=True
    ):
        at = np.zeros(len(flat), dtype=np.intp)
        for _ in range(int(state["depth"])):
            inner = left[at] != -1
            lower = flat[pairs, np.maximum(column[at], 0)] <= threshold[at]
            at = np.where(inner, np.where(lower, left[at], right[at]), at)
        total += value[at]
    return total.reshape(seen.shape[:2])
