"""Answers of who knows some of the classes, made whole; without it a class that is not known would be impossible.

Own classes S of C classes; several own columns may stand for one class (their probabilities are added up).

    q[n, c]  what is said among S, sum 1
    g[n]     = sigmoid(w . e[n] + b)      how likely the row is one of S at all, learned on rows apart
    p[n, c]  = g[n] q[n, c] for c in S,  (1 - g[n]) / (C - |S|) elsewhere                     [N, C]

e[n] has three entries: the log-odds of the highest q, the log-odds of S among all own columns (those that stand for no
class included), and of logits the log of the sum of their exponents over S. So an answer that knows half of the classes
is a calibrated answer over all of them. Where several answer together, none is heard about what it does not know:

    p'_k[n, c] = (1 - g_k[n]) r[n, c] / sum_{c' not in S_k} r[n, c']   for c not in S_k,
    r[n, c]    = mean of p_j[n, c] over the members j that know c;  1 / C where nobody does

How likely it is that the row is none of its own classes stays the member's word; which of the others, is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FLOOR, PULL = 1e-12, 1e-3
EVIDENCE = 3
# w, b, and centre and spread of the evidence.
OPENING = 3 * EVIDENCE + 1
FOLDS = 5


def grouped(scores: np.ndarray, columns: Sequence[int], classes: int, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """`q [N, C]` (0 for what is not known) and evidence `e [N, 3]` from own scores [N, own].

    `columns` says which class each own column stands for (-1: none). Of probabilities and of logits alike; where only
    rounding is left of all known classes they are said to be equal.
    """
    wide, where = np.asarray(scores, dtype=np.float64), np.asarray(columns)
    if scale == "logit":
        top = wide.max(axis=1, keepdims=True)
        shares, level = np.exp(wide - top), top[:, 0]
    else:
        shares, level = np.maximum(wide, 0.0), np.zeros(len(wide))
    known = np.flatnonzero(np.bincount(where[where >= 0], minlength=classes))
    mass = np.zeros((len(wide), classes))
    for column in np.flatnonzero(where >= 0):
        mass[:, where[column]] += shares[:, column]
    inside, total = mass.sum(axis=1), np.maximum(shares.sum(axis=1), FLOOR)
    q = mass.copy()
    q[np.ix_(inside < FLOOR, known)] = 1.0
    q /= q.sum(axis=1, keepdims=True)
    size = np.log(np.maximum(inside, FLOOR)) + level if scale == "logit" else np.zeros(len(wide))
    evidence = np.stack([log_odds(q.max(axis=1)), log_odds(inside / total), size], axis=1)
    return q, evidence


def log_odds(shares: np.ndarray) -> np.ndarray:
    """log p / (1 - p), p kept within [1e-12, 1 - 1e-12]."""
    kept = np.clip(shares, FLOOR, 1.0 - FLOOR)
    return np.log(kept) - np.log1p(-kept)


def fit_opening(evidence: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """How evidence [N, 3] tells whether a row is of a known class, `inside` [N]: one array [10].

    Logistic regression with a small pull to the share of such rows; rows of one kind only give that share, kept off 0
    and 1 by half a row.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    centre, spread = evidence.mean(axis=0), evidence.std(axis=0)
    spread = np.where(spread > 1e-9, spread, np.inf)
    seen, truth = (evidence - centre) / spread, np.asarray(inside, dtype=np.float64)
    share = (truth.sum() + 0.5) / (len(truth) + 1)
    start = np.concatenate([np.zeros(EVIDENCE), [np.log(share / (1 - share))]])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = seen @ parameters[:-1] + parameters[-1]
        value = np.logaddexp(0.0, z) - truth * z
        gap = (expit(z) - truth) / len(z)
        pull = parameters - start
        slope = np.concatenate([seen.T @ gap, [gap.sum()]]) + 2 * PULL * pull
        return float(value.mean() + PULL * (pull @ pull)), slope

    both = 0 < truth.sum() < len(truth)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x if both else start
    # An infinite spread is written as 0: the state of a model holds finite numbers.
    return np.concatenate([found, centre, np.where(np.isfinite(spread), 1.0 / spread, 0.0)])


def opened(q: np.ndarray, evidence: np.ndarray, known: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """Answers over all classes [N, C] from `q [N, C]` and `e [N, 3]`; `known [C]` says which are the own ones."""
    from scipy.special import expit

    weights, offset = opening[:EVIDENCE], opening[EVIDENCE]
    centre, scale = opening[EVIDENCE + 1 : 2 * EVIDENCE + 1], opening[2 * EVIDENCE + 1 :]
    inside = expit(((evidence - centre) * scale) @ weights + offset)[:, None]
    others = len(known) - int(np.sum(known))
    return np.where(known, inside * q, (1.0 - inside) / max(others, 1))


def crossfitted(
    q: np.ndarray, evidence: np.ndarray, known: np.ndarray, targets: np.ndarray, fold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Answers [N, C] for rows that the opening was not fitted to, by `fold [N]`; and the opening fitted to all."""
    found = np.empty_like(q)
    inside = known[targets]
    whole = fit_opening(evidence, inside)
    for number in np.unique(fold):
        held = fold == number
        opening = whole if held.all() else fit_opening(evidence[~held], inside[~held])
        found[held] = opened(q[held], evidence[held], known, opening)
    return found, whole


def shared(members: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Members' answers [K, N, C] in which each says of classes that it does not know what the others say of them.

    `known [K, C]`. Whoever knows all classes is left as it is; every row keeps its sum.
    """
    heard = known.sum(axis=0)
    said = np.einsum("knc,kc->nc", members, known.astype(members.dtype)) / np.maximum(heard, 1)
    said = np.where(heard > 0, said, 1.0 / members.shape[2])
    found = members.copy()
    for member in np.flatnonzero(~known.all(axis=1)):
        others = ~known[member]
        left = members[member][:, others].sum(axis=1, keepdims=True)
        rest = said[:, others]
        total = rest.sum(axis=1, keepdims=True)
        even = np.full_like(rest, 1.0 / others.sum())
        found[member][:, others] = left * np.where(total > FLOOR, rest / np.maximum(total, FLOOR), even)
    return found
