"""A regularised logistic model on top of the members' log-probabilities: each member is trusted class by class.

    z[n, c] = b_c + sum_k w[k, c] log p_k[n, c],   p = softmax(z)                          [N, C]
    minimise  -mean_n log p[n, y_n] + penalty ( |w - 1/K|^2 + |b|^2 )

The penalty pulls towards the geometric mean, so few rows give a plain pool and many a learned one; it is chosen among
six by 5-fold cross-validation on the rows apart (at most 2 million entries of them). K C + C numbers are learned, not
(K C) C: wider stacks need more rows than users of fusion have. Above 30 million entries [K, N, C] it is refused.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from transfuse.fusion.sizes import refuse_large
from transfuse.kinds import LEAST_PROBABILITY
from transfuse.seeds import stream

CITATION = "Wolpert, Stacked generalization, 1992; Ting, Witten, Issues in stacked generalization, JAIR 1999"
PARAMETERS = {
    "penalty": {
        "type": "float",
        "default": None,
        "low": 1e-9,
        "high": 1e9,
        "doc": "strength of the pull towards the plain pool; none: cross-validated",
    },
}
TRAITS = {
    "idempotent": False,
    "convex": False,
    "unanimous": False,
    "pooling": False,
    "symmetric": True,
    "kinds": "multiclass, multilabel",
}
COST = {"microseconds": 15.0, "times": [], "pairs": 50_000}
REVISION = 2
FOLDS, COMPARED = 5, 2_000_000
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
# Penalties are compared by fits that need not be exact; the last one is.
ROUGH = {"maxiter": 100, "gtol": 1e-5, "ftol": 1e-9}
EXACT = {"maxiter": 5000, "gtol": 1e-8, "ftol": 1e-13}


def fit(probabilities: np.ndarray, targets: np.ndarray, *, penalty: float | None) -> dict[str, np.ndarray]:
    """`probabilities [K, N, C]`, `targets [N]` -> `weights [K, C]` and `bias [C]`. Raises UserError for too large."""
    refuse_large(probabilities, "stack")
    logs = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    step = -(-probabilities.size // COMPARED)
    chosen = penalty if penalty is not None else _cross_validated(logs[:, ::step], targets[::step])
    weights, bias = _fitted(logs, targets, chosen, _plain(logs), EXACT)
    return {"weights": weights, "bias": bias}


def apply(state: dict[str, np.ndarray], probabilities: np.ndarray) -> np.ndarray:
    """`[K, N, C] -> [N, C]`."""
    logs = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    return softmax(_scores(logs, state["weights"], state["bias"]), axis=1)


def _scores(logs: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    total = np.tile(bias, (logs.shape[1], 1))
    for member, weight in zip(logs, weights, strict=True):
        total += member * weight
    return total


def _plain(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights and bias of the geometric mean."""
    members, _, classes = logs.shape
    return np.full((members, classes), 1.0 / members), np.zeros(classes)


def _fitted(
    logs: np.ndarray,
    targets: np.ndarray,
    penalty: float,
    start: tuple[np.ndarray, np.ndarray],
    options: dict[str, float],
) -> tuple[np.ndarray, np.ndarray]:
    members, rows, classes = logs.shape
    plain, wanted = 1.0 / members, np.arange(rows)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = theta[: members * classes].reshape(members, classes), theta[members * classes :]
        log_p = log_softmax(_scores(logs, weights, bias), axis=1)
        gap = np.exp(log_p)
        gap[wanted, targets] -= 1.0
        pull = penalty * (np.square(weights - plain).sum() + np.square(bias).sum())
        pulled = np.stack([np.einsum("nc,nc->c", member, gap) for member in logs])
        slope_weights = pulled / rows + 2 * penalty * (weights - plain)
        slope_bias = gap.mean(axis=0) + 2 * penalty * bias
        value = float(-log_p[wanted, targets].mean() + pull)
        return value, np.concatenate([slope_weights.ravel(), slope_bias])

    first = np.concatenate([start[0].ravel(), start[1]])
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options=options).x
    return found[: members * classes].reshape(members, classes), found[members * classes :]


def _cross_validated(logs: np.ndarray, targets: np.ndarray) -> float:
    """The penalty with the lowest log-loss on rows held out in turn; the strongest where there are too few rows.

    Weaker penalties start where stronger ones ended, and are no longer tried once two in a row were worse.
    """
    rows = len(targets)
    if rows < 2 * FOLDS:
        return PENALTIES[-1]
    fold = stream("stacking", "folds").permutation(rows) % FOLDS

    starts = [_plain(logs)] * FOLDS
    losses: dict[float, float] = {}
    for penalty in PENALTIES[::-1]:
        total = 0.0
        for number in range(FOLDS):
            held = fold == number
            starts[number] = _fitted(logs[:, ~held], targets[~held], penalty, starts[number], ROUGH)
            log_p = log_softmax(_scores(logs[:, held], *starts[number]), axis=1)
            total -= float(log_p[np.arange(held.sum()), targets[held]].sum())
        losses[penalty] = total
        if len(losses) > 2 and min(losses.values()) < min([*losses.values()][-2:]):
            break
    return min(losses, key=lambda penalty: losses[penalty])
