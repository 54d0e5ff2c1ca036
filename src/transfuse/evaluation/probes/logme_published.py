"""LogME as others compute it, to the letter of their stopping rules: without it nobody could say how far we are apart.

All of them repeat at most 11 times, from a = b = 1:  g = Σ σ/(σ + a/b),  a = g / |m|²,  b = (N − g) / |y − F m|².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDS = 11


@dataclass(frozen=True)
class Rule:
    """`tol` on a/b relative to itself; what is `added` below fractions, and `charged` to the evidence with them;
    whether the log-determinant spans all columns (`whole`), also those that the decomposition leaves out."""

    tol: float
    added: float
    charged: float
    whole: bool


RULES = {
    "thuml": Rule(1e-3, 1e-5, 0.0, False),
    "icml": Rule(1e-2, 1e-5, 1e-5, True),
    "tllib": Rule(1e-2, 0.0, 0.0, True),
}


def published(features: np.ndarray, targets: np.ndarray, name: str) -> float:
    """The score by that rule, over all class numbers up to the largest; NaN or infinity where they divide by zero."""
    rule = RULES[name]
    left, values, _ = np.linalg.svd(features, full_matrices=False)
    sigma = values**2
    rows, width = features.shape
    found = []
    for number in range(int(targets.max()) + 1):
        indicator = (targets == number).astype(np.float64)
        parts = (left.T @ indicator) ** 2
        found.append(_one(sigma, parts, float(indicator.sum() - parts.sum()), rule, (rows, width)))
    return float(np.mean(found))


def _one(sigma: np.ndarray, parts: np.ndarray, rest: float, rule: Rule, size: tuple[int, int]) -> float:
    rows, width = size
    alpha, beta, norm, residual = 1.0, 1.0, 0.0, 0.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(ROUNDS):
            t = np.float64(alpha) / beta
            gamma = (sigma / (sigma + t)).sum()
            norm = (sigma * parts / (t + sigma) ** 2).sum()
            residual = (parts / (1 + sigma / t) ** 2).sum() + rest
            alpha, beta = gamma / (norm + rule.added), (rows - gamma) / (residual + rule.added)
            if abs(alpha / beta - t) / t <= rule.tol:
                break
        missing = (width - len(sigma)) * np.log(alpha) if rule.whole else 0.0
        found = width * np.log(alpha) + rows * np.log(beta) - np.log(alpha + beta * sigma).sum() - missing
        explained = beta * (residual + rule.charged) + alpha * (norm + rule.charged)
        return float(found - explained - rows * np.log(2 * np.pi)) / (2 * rows)
