"""The evidence of a linear model, maximised exactly: without it LogME would stop where an iteration count says.

For a class's indicator y [N] and features F [N, D], y ~ N(0, I/b + F Fᵀ/a). With t = a/b and K = F Fᵀ the best b for a
t is N / q(t), q(t) = yᵀ (I + K/t)⁻¹ y, which leaves one number to find:

    L(t) = −½ log(2π q(t) / N) − ½ − 1/(2N) log |I + K/t|

One factor of t I + K gives L of all classes. In x = log t every L is analytic where |Im x| < π, since q has no zero
there: values at n Chebyshev points of an interval of half-length h tell it up to rho⁻ⁿ, rho = (π + √(π² + h²)) / h.
Strides find where each class's L is highest; classes whose peaks are near each other share their points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.polynomial import chebyshev

from transfuse.errors import UserError
from transfuse.evaluation.probes.band import Band, Shifted, Tridiagonal, reduced
from transfuse.evaluation.probes.moments import Moments
from transfuse.types import Undefined, Value

# Beyond these multiples of the eigenvalues' sum nothing is left of the features, or of the noise.
LEAST, MOST = 1e-13, 1e13
# A class explained to this share of its length is explained to rounding: its evidence has no bound.
PERFECT = 1e-10
# In log t: the strides, the reach of an interval beyond the classes that it is made for, the gap between two.
STRIDE, REACH, APART = 2.0, 0.4, 2.5
# What an interval's polynomial may miss of L; looks at each.
MISSED, LOOKS = 1e-9, 65


@dataclass(frozen=True, eq=False)
class Point:
    """At one log t: q and L of the curves, [C] each, and log |I + K/t|."""

    place: float
    q: np.ndarray
    level: np.ndarray
    logdet: np.ndarray | float


def evidence(q: np.ndarray, logdet: np.ndarray | float, rows: int) -> np.ndarray:
    """L, +inf where nothing is left to explain."""
    with np.errstate(divide="ignore"):
        return -0.5 * np.log(2 * np.pi * np.maximum(q, 0.0) / rows) - 0.5 - logdet / (2 * rows)


class Side(Protocol):
    """Curves that are looked at together: one for each class, and of many sets one for each class of each.

    `squares` yᵀ y of each [C]; `span` the least and the greatest sum of a set's eigenvalues, 0 where all are 0;
    `bounded` whether no evidence can be endless.
    """

    rows: int
    squares: np.ndarray
    span: tuple[float, float]
    bounded: bool

    def at(self, t: float) -> tuple[np.ndarray, np.ndarray | float]:
        """q of the curves [C] and log |I + K/t|, of each or of all."""
        ...


class GramSide:
    """D < N: everything from the centred Gram matrix S; the mean comes back as a rank-one term."""

    bounded = False

    def __init__(self, found: Moments, classes: Sequence[int]) -> None:
        self.rows, self.squares, self.width = found.rows, found.counts[classes], len(found.mean)
        trace = total(found.gram)
        self.form, self.floor = reduced(found.gram, sides(found, classes)), rounding(self.width, trace)
        scale = trace + found.rows * float(found.mean @ found.mean)
        self.span = (scale, scale)

    def at(self, t: float) -> tuple[np.ndarray, float]:
        """As on every side."""
        found = shifted(self.form, t, self.floor)
        q, more = with_mean(self.squares, found.own, found.last)
        return q, found.logdet - self.width * float(np.log(t)) + float(more)


class KernelSide:
    """N ≤ D: from K = F Fᵀ itself, q(t) = t yᵀ (t I + K)⁻¹ y without cancellation, however small the noise."""

    def __init__(self, kernel: np.ndarray, targets: np.ndarray, classes: Sequence[int]) -> None:
        indicators = (targets[:, None] == np.asarray(classes)).astype(np.float64)
        self.rows, self.form = len(kernel), reduced(kernel, indicators)
        trace = total(kernel)
        self.squares, self.floor, self.span = indicators.sum(axis=0), rounding(self.rows, trace), (trace, trace)
        self.bounded = self.form.at(-self.floor) is not None

    def at(self, t: float) -> tuple[np.ndarray, float]:
        """As on every side."""
        found = shifted(self.form, t, self.floor)
        return t * found.own, found.logdet - self.rows * float(np.log(t))


def sides(found: Moments, classes: Sequence[int]) -> np.ndarray:
    """What S is asked about: Fᵀ y of each class, and last m = √N mean. [D, C + 1].

    F Fᵀ has the eigenvalues of S + m mᵀ, and Fᵀ y = sums + m n_c / √N.
    """
    mean = found.mean * np.sqrt(found.rows)
    return np.column_stack([found.sums[:, classes] + np.outer(mean, found.counts[classes] / np.sqrt(found.rows)), mean])


def with_mean(squares: np.ndarray, own: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """q of each class and what m mᵀ adds to the log-determinant, from those of S alone. [..., C], [...].

    Sherman, Morrison, 1950.
    """
    share = 1.0 + own[..., -1:]
    return squares - (own[..., :-1] - last[..., :-1] ** 2 / share), np.log(share[..., 0])


def total(gram: np.ndarray) -> float:
    """The sum of the eigenvalues. Raises: `UserError` where the features' squares are beyond float64."""
    found = float(np.trace(gram))
    if not np.isfinite(found):
        raise UserError("features cannot be scored", expected="numbers whose squares float64 can hold", got=str(found))
    return found


def rounding(size: int, trace: float) -> float:
    """Eigenvalues up to here are rounding: D · eps · their sum, ten times over."""
    return 10.0 * size * float(np.finfo(np.float64).eps) * trace


def shifted(form: Tridiagonal | Band, t: float, floor: float) -> Shifted:
    """The form at t. Where rounding left B a little below 0, a shift of that size takes the place of t: it is nothing
    beside the largest eigenvalue."""
    found, lifted = form.at(t), max(t, floor)
    while found is None:
        found, lifted = form.at(lifted), 10.0 * lifted
    return found


def best(side: Side) -> np.ndarray:
    """The greatest evidence per row of each class, +inf where it has no bound. [C]."""
    if side.span[1] <= 0.0:
        return _point(side, 0.0).level
    found, owner, place = _seen(side, _surveyed(side))
    level, open_ = np.full(len(owner), -np.inf), np.arange(len(owner))
    while len(open_):
        beyond = []
        for near in _near(open_, place):
            ends = float(place[near[0]]) - REACH, float(place[near[-1]]) + REACH
            place[near], reached, inside = _peak(side, owner[near], *ends)
            # What is highest at an end is no peak, but where to look for one; unless all that rises is rounding.
            beyond.append(near[~inside & (reached > level[near] + MISSED)])
            level[near] = reached
        open_ = np.concatenate(beyond)
    np.maximum.at(found, owner, level)
    return found


def mean_evidence(found: np.ndarray) -> Value:
    """Mean over classes [C], or why there is none."""
    if np.isinf(found).any():
        return Undefined(
            f"the features tell {int(np.isinf(found).sum())} classes exactly, so the evidence has no bound"
        )
    return float(found.mean())


def _point(side: Side, place: float) -> Point:
    q, logdet = side.at(float(np.exp(place)))
    return Point(place, q, evidence(q, logdet, side.rows), logdet)


def _surveyed(side: Side) -> list[Point]:
    """Points by strides both ways from where noise and features weigh the same, until no class can be higher beyond.

    q grows with t and the determinant falls: below t no L exceeds that of the least q with t's determinant; above,
    none that of t's q with a determinant of 1.
    """
    least, most = side.span
    low, high, middle = np.log([least * LEAST, most * MOST, np.sqrt(least) * np.sqrt(most) / side.rows]).tolist()
    beneath = _point(side, low)
    points = [_point(side, middle + step) for step in (-STRIDE, 0.0, STRIDE)]
    while True:
        top = np.max([point.level for point in points], axis=0) + MISSED
        first, last = points[0], points[-1]
        if first.place > low and (evidence(beneath.q, first.logdet, side.rows) > top).any():
            points.insert(0, _point(side, first.place - STRIDE))
        elif last.place < high and (evidence(last.q, 0.0, side.rows) > top).any():
            points.append(_point(side, last.place + STRIDE))
        else:
            return points


def _seen(side: Side, points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The greatest L of each class at the points [C], +inf where it has no bound; and of every point that is higher
    than its neighbours and may be next to the highest peak: whose it is, and the vertex of the parabola through it.

    L bends by (1 + D/N)/8 ≤ 1/4 at most, so a peak is at most an eighth above the point next to it.
    """
    levels, left = (np.array([getattr(point, name) for point in points]) for name in ("level", "q"))
    lowest = points[0].place <= np.log(side.span[0] * LEAST)
    top, highest = levels.max(axis=0), levels.argmax(axis=0)
    told = left[highest, np.arange(len(top))] <= PERFECT * side.squares
    endless = (not side.bounded) & (told | (lowest & (highest == 0)))
    levels[:, endless] = 0.0
    known = np.pad(levels, ((1, 1), (0, 0)), constant_values=-np.inf)
    rise, fall = known[1:-1] - known[:-2], known[1:-1] - known[2:]
    # A plateau has its height already.
    peaks = (rise > MISSED) & (fall > MISSED) & (levels >= top - 0.125)
    at, owner = np.nonzero(peaks)
    rise, fall = rise[at, owner], fall[at, owner]
    vertex = np.where(np.isinf(rise + fall), 0.0, (rise - fall) / np.where(np.isinf(rise + fall), 1.0, rise + fall) / 2)
    return np.where(endless, np.inf, top), owner, np.array([point.place for point in points])[at] + STRIDE * vertex


def _near(classes: np.ndarray, place: np.ndarray) -> list[np.ndarray]:
    """Classes by their place, in runs without a gap that would cost more points than an interval more."""
    ordered = classes[np.argsort(place[classes], kind="stable")]
    return np.split(ordered, np.flatnonzero(np.diff(place[ordered]) > APART) + 1)


def _peak(side: Side, classes: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The log t between two ends where L of each class is highest, L there, and whether that is a peak and no end. [C]
    each."""
    centre, half = (low + high) / 2, (high - low) / 2
    count = int(np.ceil(-np.log(MISSED) / np.log((np.pi + np.hypot(np.pi, half)) / half)))
    nodes = chebyshev.chebpts1(count)
    points = [_point(side, centre + half * node) for node in nodes]
    levels, left = np.array([(point.level[classes], point.q[classes]) for point in points]).transpose(1, 0, 2)
    endless = (not side.bounded) & (left <= PERFECT * side.squares[classes]).any(axis=0)
    terms = chebyshev.chebvander(nodes, count - 1).T * (2.0 / count)
    terms[0] /= 2.0
    series = terms @ np.where(endless, 0.0, levels)
    looks = np.linspace(-1.0, 1.0, LOOKS)
    place = looks[(chebyshev.chebvander(looks, count - 1) @ series).argmax(axis=0)]
    slope, inside = chebyshev.chebder(series), np.abs(place) < 1.0
    bend = chebyshev.chebder(slope)
    for _ in range(4):
        curve = chebyshev.chebval(place, bend, tensor=False)
        step = -chebyshev.chebval(place, slope, tensor=False) / np.where(curve < 0, curve, -np.inf)
        place = np.where(inside, place + np.clip(step, -1.0 / LOOKS, 1.0 / LOOKS), place)
    level = np.where(endless, np.inf, chebyshev.chebval(place, series, tensor=False))
    return centre + half * place, level, inside | endless
