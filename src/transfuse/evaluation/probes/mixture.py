"""A Gaussian mixture by expectation–maximisation, seeded: without it N-LEEP would rest on a library's random start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from transfuse import seeds

ROUNDS, ENOUGH, LEAST_SHARE = 100, 1e-4, 1e-3


@dataclass(frozen=True, eq=False)
class Mixture:
    """Posteriors [N, Z] whose rows sum to 1, the mean log-likelihood, and its course over the rounds."""

    posterior: np.ndarray
    level: float
    course: tuple[float, ...]


def fitted(block: np.ndarray, parts: int, start: int) -> Mixture:
    """EM with full covariances from k-means++ centres of this start, until the level gains less than 1e-4. [N, D].

    Each covariance has a thousandth of the mean variance added to its diagonal. Dempster, Laird, Rubin, 1977; Arthur,
    Vassilvitskii, 2007.
    """
    rng = seeds.stream("scores", "mixture", start, parts, *block.shape)
    near = np.argmin(_distances(block, _centres(block, parts, rng)), axis=1)
    posterior = np.eye(parts)[near]
    added = LEAST_SHARE * float(block.var(axis=0).mean()) + np.finfo(np.float64).tiny
    course: list[float] = []
    for _ in range(ROUNDS):
        logs = joint(block, *maximised(block, posterior, added))
        totals = np.asarray(logsumexp(logs, axis=1))
        posterior = np.exp(logs - totals[:, None])
        course.append(float(totals.mean()))
        if len(course) > 1 and course[-1] - course[-2] < ENOUGH:
            break
    return Mixture(posterior, course[-1], tuple(course))


def maximised(block: np.ndarray, posterior: np.ndarray, added: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights [Z], means [Z, D] and lower Cholesky factors of the covariances [Z, D, D] for these posteriors."""
    mass = posterior.sum(axis=0) + 10 * np.finfo(np.float64).eps
    means = posterior.T @ block / mass[:, None]
    factors = np.empty((len(mass), block.shape[1], block.shape[1]))
    for number in range(len(mass)):
        apart = block - means[number]
        covariance = (posterior[:, number, None] * apart).T @ apart / mass[number]
        factors[number] = np.linalg.cholesky(covariance + added * np.eye(block.shape[1]))
    return mass / mass.sum(), means, factors


def joint(block: np.ndarray, weights: np.ndarray, means: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """log weight + log density of each row under each part. [N, Z]."""
    found = np.empty((len(block), len(weights)))
    for number in range(len(weights)):
        scaled = solve_triangular(factors[number], (block - means[number]).T, lower=True)
        logdet = np.log(np.diag(factors[number])).sum()
        found[:, number] = np.log(weights[number]) - logdet - 0.5 * (scaled**2).sum(axis=0)
    return found - 0.5 * block.shape[1] * np.log(2 * np.pi)


def _distances(block: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return (block**2).sum(axis=1)[:, None] - 2 * block @ centres.T + (centres**2).sum(axis=1)


def _centres(block: np.ndarray, parts: int, rng: np.random.Generator) -> np.ndarray:
    picked = [int(rng.integers(len(block)))]
    for _ in range(parts - 1):
        apart = np.maximum(_distances(block, block[picked]).min(axis=1), 0.0)
        total = apart.sum()
        picked.append(int(rng.choice(len(block), p=apart / total if total > 0 else None)))
    return block[picked]
