"""The evidence of a linear model, maximised exactly: without it LogME would stop where an iteration count says.

For a class's indicator y [N] and features F [N, D], y ~ N(0, I/b + F Fᵀ/a). With t = a/b and K = F Fᵀ the best b for a
t is N / q(t), q(t) = yᵀ (I + K/t)⁻¹ y, which leaves one number to find:

    L(t) = −½ log(2π q(t) / N) − ½ − 1/(2N) log |I + K/t|

Newton steps in log t inside a bracket find the first stationary point uphill of t = 1, where the published iteration
starts. All classes step together: their tridiagonal systems stand one below the other and are solved in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfuse.evaluation.moments import Moments
from transfuse.evaluation.spectrum import Solver, Spectrum, spectrum

STEPS, LONGEST = 60, 4.0
# Beyond these multiples of the largest eigenvalue nothing is left of the features, or of the noise.
LEAST, MOST = 1e-13, 1e13
# A class explained to this share of its length is explained to rounding: its evidence has no bound.
PERFECT = 1e-10


# So many numbers are solved for in one call, at most: more than that leaves no cache for anything else.
MOST_AT_ONCE = 1 << 21


@dataclass(frozen=True, eq=False)
class Terms:
    """Of several classes, each at its t: q, its first and second derivative in log t, and the first two derivatives of
    −log |I + K/t|. [C] each."""

    q: np.ndarray
    slope: np.ndarray
    bend: np.ndarray
    trace: np.ndarray
    change: np.ndarray


def evidence(q: np.ndarray, logdet: np.ndarray, rows: int) -> np.ndarray:
    """L, +inf where nothing is left to explain."""
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.where(q > 0, np.log(2 * np.pi * np.maximum(q, 0.0) / rows), -np.inf)
    return -0.5 * level - 0.5 - logdet / (2 * rows)


class GramSide:
    """D < N: everything from the centred Gram matrix S; the mean comes back as a rank-one term.

    F Fᵀ has the eigenvalues of S + m mᵀ with m = √N mean, and Fᵀ y = sums + m n_c / √N. Sherman, Morrison, 1950.
    """

    def __init__(self, found: Moments, form: Spectrum) -> None:
        self.mean = form.turned[:, -1]
        sides = form.turned[:, :-1] + self.mean[:, None] * (found.counts / np.sqrt(found.rows))
        self.rows, self.form, self.squares = found.rows, form, found.counts
        self.sides = np.ascontiguousarray(sides.T)
        self.largest = float(form.eigenvalues[-1]) + float(self.mean @ self.mean)
        self.bounded = False

    def at(self, t: np.ndarray, classes: np.ndarray) -> Terms:
        """The terms of these classes at t [C]. With P = t I + S, U = P⁻¹ [z, m] and V = P⁻¹ U, all follows from the
        2 × 2 products [z, m]ᵀ U, Uᵀ U, Uᵀ V."""
        first, second, third = products(self.form, (self.sides[classes], self.mean), t)
        share = 1.0 + first[2]
        weight = first[1] / share
        q = self.squares[classes] - (first[0] - weight * first[1])
        norm, bend = (own - 2.0 * weight * across + weight**2 * mean for own, across, mean in (second, third))
        # One more rank-one correction: the second solve is with P + m mᵀ as well.
        bend = bend - (second[1] - weight * second[2]) ** 2 / share
        pull = t * second[2] / share
        trace, change = _traces(self.form.eigenvalues, t)
        return Terms(
            q=q,
            slope=t * norm,
            bend=t * norm - 2.0 * t**2 * bend,
            trace=trace + pull,
            change=change + pull + pull**2 - 2.0 * t**2 * third[2] / share,
        )

    def value(self, t: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """L and q of these classes at t. [C] each."""
        (first,) = products(self.form, (self.sides[classes], self.mean), t, most=1)
        share = 1.0 + first[2]
        q = self.squares[classes] - (first[0] - first[1] ** 2 / share)
        return evidence(q, _determinant(self.form.eigenvalues, t) + np.log(share), self.rows), q


class KernelSide:
    """N ≤ D: from K = F Fᵀ itself, q(t) = t yᵀ (t I + K)⁻¹ y without cancellation, however small the noise."""

    def __init__(self, kernel: np.ndarray, targets: np.ndarray, classes: int) -> None:
        indicators = (targets[:, None] == np.arange(classes)).astype(np.float64)
        self.rows, self.form = len(kernel), spectrum(kernel, indicators)
        self.squares = indicators.sum(axis=0)
        self.sides = np.ascontiguousarray(self.form.turned.T)
        self.largest = float(self.form.eigenvalues[-1])
        self.bounded = self.form.rank == self.rows

    def at(self, t: np.ndarray, classes: np.ndarray) -> Terms:
        """As on the other side; q' = Σ z² σ / (t + σ)²."""
        first, second, third = (own for (own,) in products(self.form, (self.sides[classes],), t))
        slope = t * (first - t * second)
        bend = slope - 2.0 * t**2 * (second - t * third)
        return Terms(t * first, slope, bend, *_traces(self.form.eigenvalues, t))

    def value(self, t: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As on the other side."""
        ((first,),) = products(self.form, (self.sides[classes],), t, most=1)
        return evidence(t * first, _determinant(self.form.eigenvalues, t), self.rows), t * first


def products(
    form: Spectrum, sides: tuple[np.ndarray, ...], t: np.ndarray, most: int = 3
) -> list[tuple[np.ndarray, ...]]:
    """Of each class's z [C, D], or of z and one m [D] for all, with U = P⁻¹ [z, m] and V = P⁻¹ U: the products with U,
    of U with U, and of U with V; the first `most` of them. Each as (zz, zm, mm), or (zz,). [C] each."""
    size = len(form.diagonal)
    step = max(1, MOST_AT_ONCE // (size * len(sides)))
    if len(t) > step:
        parts = [
            products(form, (sides[0][start : start + step], *sides[1:]), t[start : start + step], most)
            for start in range(0, len(t), step)
        ]
        return [tuple(map(np.concatenate, zip(*found, strict=True))) for found in zip(*parts, strict=True)]
    solve = form.stacked(t)
    given = np.empty((len(sides), len(t), size))
    for place, side in enumerate(sides):
        given[place] = side
    once = _solved(solve, given)
    pairs = [(given, once), (once, once)]
    if most > 2:
        pairs.append((once, _solved(solve, once)))
    return [_inner(one, other) for one, other in pairs[:most]]


def _solved(solve: Solver, sides: np.ndarray) -> np.ndarray:
    """All systems at once. [q, C, D] -> the same."""
    return solve(sides.reshape(len(sides), -1).T).T.reshape(sides.shape)


def _inner(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, ...]:
    pairs = ((0, 0), (0, 1), (1, 1)) if len(one) > 1 else ((0, 0),)
    return tuple(np.einsum("cd,cd->c", one[first], other[second]) for first, second in pairs)


def _determinant(values: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.log1p(values / t[:, None]).sum(axis=1)


def _traces(values: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ratio = values / (values + t[:, None])
    trace = ratio.sum(axis=1)
    return trace, np.einsum("cd,cd->c", ratio, ratio) - trace


def best(
    side: GramSide | KernelSide, classes: Sequence[int], tol: float, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The greatest evidence per row of each class, +inf where it has no bound, and the log t of it. [C] each.

    `tol` is a step in log t; what it leaves in the value is of the order of its square. `start` is where the search
    begins for each class, 0 by default; a set of sources begins where a smaller one ended.
    """
    begun = np.zeros(len(classes)) if start is None else start
    numbers = np.asarray(classes)
    if side.largest <= 0.0:
        return side.value(np.ones(len(numbers)), numbers)[0], begun
    floor = np.log(side.largest * LEAST)
    low, high = np.full(len(classes), floor), np.full(len(classes), np.log(side.largest * MOST))
    place = np.clip(begun, low + 1.0, high - 1.0)
    open_ = np.arange(len(classes))
    for _ in range(STEPS):
        terms = side.at(np.exp(place[open_]), numbers[open_])
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
    found, q = side.value(np.exp(place), numbers)
    if not side.bounded:
        found[(place < floor + 1.0) | (q <= PERFECT * side.squares[numbers])] = np.inf
    return found, place


def _step(terms: Terms, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Twice the slope of L, and Newton's step; where L bends upwards, the longest step uphill."""
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = terms.slope / terms.q
        slope = terms.trace / rows - pull
        curve = terms.change / rows - (terms.bend / terms.q - pull**2)
        step = np.where(curve < 0, -slope / curve, np.copysign(LONGEST, slope))
    return slope, np.clip(np.nan_to_num(step), -LONGEST, LONGEST)
