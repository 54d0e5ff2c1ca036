"""The evidence of a linear model, maximised exactly: without it LogME would stop where an iteration count says.

For a class's indicator y [N] and features F [N, D], y ~ N(0, I/b + F Fᵀ/a). With t = a/b and K = F Fᵀ the best b for a
t is N / q(t), q(t) = yᵀ (I + K/t)⁻¹ y, which leaves one number to find:

    L(t) = −½ log(2π q(t) / N) − ½ − 1/(2N) log |I + K/t|

Newton steps in log t inside a bracket find the first stationary point uphill of t = 1, where the published iteration
starts. All classes step together; each needs solves with one tridiagonal matrix only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfuse.evaluation.moments import Moments
from transfuse.evaluation.spectrum import Spectrum, spectrum

STEPS, LONGEST = 60, 4.0
# Beyond these multiples of the largest eigenvalue nothing is left of the features, or of the noise.
LEAST, MOST = 1e-13, 1e13
# A class explained to this share of its length is explained to rounding: its evidence has no bound.
PERFECT = 1e-10


@dataclass(frozen=True, eq=False)
class Terms:
    """Of several classes, each at its t: q, its first and second derivative in log t; log |I + K/t|, and the first two
    derivatives of −log |I + K/t|. [C] each."""

    q: np.ndarray
    slope: np.ndarray
    bend: np.ndarray
    logdet: np.ndarray
    trace: np.ndarray
    change: np.ndarray

    def value(self, rows: int) -> np.ndarray:
        """L, +inf where nothing is left to explain."""
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.where(self.q > 0, np.log(2 * np.pi * np.maximum(self.q, 0.0) / rows), -np.inf)
        return -0.5 * level - 0.5 - self.logdet / (2 * rows)


class GramSide:
    """D < N: everything from the centred Gram matrix S; the mean comes back as a rank-one term.

    F Fᵀ has the eigenvalues of S + m mᵀ with m = √N mean, and Fᵀ y = sums + m n_c / √N. Sherman, Morrison, 1950.
    """

    def __init__(self, found: Moments, form: Spectrum) -> None:
        mean = form.turned[:, -1]
        sides = form.turned[:, :-1] + mean[:, None] * (found.counts / np.sqrt(found.rows))
        self.rows, self.form, self.squares = found.rows, form, found.counts
        self.sides = [np.asfortranarray(np.column_stack([side, mean])) for side in sides.T]
        self.largest = float(form.eigenvalues[-1]) + float(mean @ mean)
        self.bounded = False

    def at(self, t: np.ndarray, classes: Sequence[int]) -> Terms:
        """The terms of these classes at t [C]. With P = t I + S, U = P⁻¹ [z, m] and V = P⁻¹ U, all follows from the
        2 × 2 products [z, m]ᵀ U, Uᵀ U, Uᵀ V."""
        first, second, third = _products(self.form, self.sides, t, classes)
        share = 1.0 + first[:, 1, 1]
        weight = first[:, 0, 1] / share
        q = self.squares[list(classes)] - (first[:, 0, 0] - weight * first[:, 0, 1])
        norm, bend = (
            each[:, 0, 0] - 2.0 * weight * each[:, 0, 1] + weight**2 * each[:, 1, 1] for each in (second, third)
        )
        # One more rank-one correction: the second solve is with P + m mᵀ as well.
        bend = bend - (second[:, 0, 1] - weight * second[:, 1, 1]) ** 2 / share
        pull = t * second[:, 1, 1] / share
        logdet, trace, change = _determinant(self.form.eigenvalues, t)
        return Terms(
            q=q,
            slope=t * norm,
            bend=t * norm - 2.0 * t**2 * bend,
            logdet=logdet + np.log(share),
            trace=trace + pull,
            change=change + pull + pull**2 - 2.0 * t**2 * third[:, 1, 1] / share,
        )


class KernelSide:
    """N ≤ D: from K = F Fᵀ itself, q(t) = t yᵀ (t I + K)⁻¹ y without cancellation, however small the noise."""

    def __init__(self, kernel: np.ndarray, targets: np.ndarray, classes: int) -> None:
        indicators = (targets[:, None] == np.arange(classes)).astype(np.float64)
        self.rows, self.form = len(kernel), spectrum(kernel, indicators)
        self.squares = indicators.sum(axis=0)
        self.sides = [np.asfortranarray(side[:, None]) for side in self.form.turned.T]
        self.largest = float(self.form.eigenvalues[-1])
        self.bounded = self.form.rank == self.rows

    def at(self, t: np.ndarray, classes: Sequence[int]) -> Terms:
        """As on the other side; q' = Σ z² σ / (t + σ)²."""
        first, second, third = (each[:, 0, 0] for each in _products(self.form, self.sides, t, classes))
        slope = t * (first - t * second)
        bend = slope - 2.0 * t**2 * (second - t * third)
        return Terms(t * first, slope, bend, *_determinant(self.form.eigenvalues, t))


def _products(
    form: Spectrum, sides: Sequence[np.ndarray], t: np.ndarray, classes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width = sides[0].shape[1]
    found = np.empty((3, len(t), width, width))
    for place, (shift, number) in enumerate(zip(t.tolist(), classes, strict=True)):
        side, solve = sides[number], form.solver(shift)
        once = solve(side)
        found[0, place] = side.T @ once
        found[1, place] = once.T @ once
        found[2, place] = once.T @ solve(once)
    return found[0], found[1], found[2]


def _determinant(values: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ratio = values / (values + t[:, None])
    trace = ratio.sum(axis=1)
    return np.log1p(values / t[:, None]).sum(axis=1), trace, np.einsum("cd,cd->c", ratio, ratio) - trace


def best(
    side: GramSide | KernelSide, classes: Sequence[int], tol: float, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The greatest evidence per row of each class, +inf where it has no bound, and the log t of it. [C] each.

    `tol` is a step in log t; what it leaves in the value is of the order of its square. `start` is where the search
    begins for each class, 0 by default; a set of sources begins where a smaller one ended.
    """
    begun = np.zeros(len(classes)) if start is None else start
    if side.largest <= 0.0:
        return side.at(np.ones(len(classes)), classes).value(side.rows), begun
    floor = np.log(side.largest * LEAST)
    low, high = np.full(len(classes), floor), np.full(len(classes), np.log(side.largest * MOST))
    place = np.clip(begun, low + 1.0, high - 1.0)
    open_, numbers = np.arange(len(classes)), np.asarray(classes)
    for _ in range(STEPS):
        terms = side.at(np.exp(place[open_]), numbers[open_].tolist())
        slope, step = _step(terms, side.rows)
        here = place[open_]
        low[open_] = np.where(slope > 0, here, low[open_])
        high[open_] = np.where(slope > 0, high[open_], here)
        outside = ~((here + step > low[open_]) & (here + step < high[open_]))
        step = np.where(outside, (low[open_] + high[open_]) / 2 - here, step)
        place[open_] = here + step
        open_ = open_[(np.abs(step) > tol) & (terms.q > 0)]
        if not len(open_):
            break
    terms = side.at(np.exp(place), numbers.tolist())
    found = terms.value(side.rows)
    if not side.bounded:
        found[(place < floor + 1.0) | (terms.q <= PERFECT * side.squares[numbers])] = np.inf
    return found, place


def _step(terms: Terms, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Twice the slope of L, and Newton's step; where L bends upwards, the longest step uphill."""
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = terms.slope / terms.q
        slope = terms.trace / rows - pull
        curve = terms.change / rows - (terms.bend / terms.q - pull**2)
        step = np.where(curve < 0, -slope / curve, np.copysign(LONGEST, slope))
    return slope, np.clip(np.nan_to_num(step), -LONGEST, LONGEST)
