"""The evidence of many sets of sources at one ratio, by elimination: without it every set would be reduced on its own.

Sources are eliminated from t I + S one after the other, in a tree: sets that begin alike share all that they begin
with, and what is added last costs least. Wide sources come first, so that the many last ones are narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from transfuse.evaluation.probes.logme_fit import STRIDE, rounding, sides, total, with_mean
from transfuse.evaluation.probes.moments import Moments

_gemm, _trsm = get_blas_funcs(("gemm", "trsm"), dtype=np.float64)
(_potrf,) = get_lapack_funcs(("potrf",), dtype=np.float64)

Names = tuple[str, ...]
# Ratios at which sets are usually looked at, and what a reduction costs beside a product of as many operations.
LOOKS, SLOWNESS = 28, 3.0
# Curves that are held at once: one for each class of each set.
MOST_CURVES = 250_000


@dataclass(eq=False)
class Node:
    """A set, its place among the wanted ones (if it is), the sets with one source more, by that source, and the last
    source that any set beyond it has."""

    place: int | None = None
    furthest: int = -1
    more: dict[int, Node] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Sums:
    """What is known of t I + S up to a set: `own` and `last` [C + 1] as in `band.Shifted`; log-determinant; the trace
    and the number of columns so far."""

    own: np.ndarray
    last: np.ndarray
    logdet: float = 0.0
    trace: float = 0.0
    width: int = 0


class Together:
    """All sets of some sources as one side of `logme_fit.best`: a curve for each class of each set, [S · C].

    Every set has fewer columns than there are rows.
    """

    bounded = False

    def __init__(
        self, whole: Moments, runs: Mapping[str, slice], sets: Sequence[Names], classes: Sequence[int]
    ) -> None:
        self.rows, self.count = whole.rows, len(sets)
        self.counts = whole.counts[classes]
        self.squares = np.tile(self.counts, len(sets))
        order = widest_first(runs)
        self.root = planted(order, sets)
        # Of each source: S from its own columns on, and the sums, one after the other.
        place = np.concatenate([np.arange(runs[name].start, runs[name].stop) for name in order])
        given = np.concatenate([whole.gram[np.ix_(place, place)], sides(whole, classes)[place]], axis=1)
        ends = np.cumsum([0, *(width_of(runs, [name]) for name in order)])
        self.strips = [
            np.asfortranarray(given[start:stop, start:]) for start, stop in zip(ends, ends[1:], strict=False)
        ]
        self.widths = np.array([width_of(runs, names) for names in sets])
        self.span = spanned(whole, runs, sets)

    def at(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """q of each curve and log |I + K/t|, [S · C]."""
        columns = len(self.counts) + 1
        own, last, logdet = (np.empty((self.count, *shape)) for shape in ((columns,), (columns,), ()))

        def grow(node: Node, strips: Sequence[np.ndarray], first: int, sums: Sums) -> None:
            for number, child in node.more.items():
                strip = strips[number - first]
                found, solved = _eliminated(strip, t, sums, columns)
                if child.place is not None:
                    own[child.place], last[child.place], logdet[child.place] = found.own, found.last, found.logdet
                if child.more:
                    later = _without(solved, strips[number - first + 1 :], child.furthest - number)
                    grow(child, later, number + 1, found)

        grow(self.root, self.strips, 0, Sums(np.zeros(columns), np.zeros(columns)))
        q, plus = with_mean(self.counts, own, last)
        level = logdet - self.widths * float(np.log(t)) + plus
        return q.ravel(), np.repeat(level, columns - 1)


def planted(runs: Sequence[str], sets: Sequence[Names]) -> Node:
    """The tree of the sets; sources by their number in the order in which they are eliminated."""
    number, root = {name: place for place, name in enumerate(runs)}, Node()
    for place, names in enumerate(sets):
        node = root
        chosen = sorted(number[name] for name in names)
        for each in chosen:
            node = node.more.setdefault(each, Node())
            node.furthest = max(node.furthest, chosen[-1])
        node.place = place
    return root


def spanned(whole: Moments, runs: Mapping[str, slice], sets: Sequence[Names]) -> tuple[float, float]:
    """The least and the greatest sum of a set's eigenvalues."""
    total(whole.gram)
    diagonal = np.diagonal(whole.gram) + whole.rows * whole.mean**2
    of = {name: float(diagonal[run].sum()) for name, run in runs.items()}
    scales = [sum(of[name] for name in names) for names in sets]
    return min(scales), max(scales)


def worth_it(whole: Moments, runs: Mapping[str, slice], sets: Sequence[Names], columns: int) -> bool:
    """Whether elimination takes less time than a reduction of each set, by operations. Sets of unlike scale have their
    peaks at unlike ratios: all of them are looked at on the whole way. A set of constant columns has no peak at all."""
    least, most = spanned(whole, runs, sets) if sets else (0.0, 0.0)
    if least == 0.0 or len(sets) * columns > MOST_CURVES:
        return False
    looks = LOOKS + float(np.log(most) - np.log(least)) / STRIDE
    order = widest_first(runs)
    widths = [width_of(runs, [name]) for name in order]

    def cost(node: Node) -> float:
        found = 0.0
        for number, child in node.more.items():
            width = widths[number]
            found += width**3 / 3 + width**2 * (sum(widths[number + 1 :]) + columns) + cost(child)
            for other in range(number + 1, child.furthest + 1):
                found += 2 * width * widths[other] * (sum(widths[other:]) + columns)
        return found

    alone = sum(4 / 3 * width_of(runs, names) ** 3 for names in sets)
    return looks * cost(planted(order, sets)) < SLOWNESS * alone


def widest_first(runs: Mapping[str, slice]) -> list[str]:
    """The sources in the order in which they are eliminated."""
    return sorted(runs, key=lambda name: -width_of(runs, [name]))


def width_of(runs: Mapping[str, slice], names: Sequence[str]) -> int:
    """How many columns these sources have together."""
    return sum(runs[name].stop - runs[name].start for name in names)


def _eliminated(strip: np.ndarray, t: float, sums: Sums, columns: int) -> tuple[Sums, np.ndarray]:
    """The sums with one source more, and L⁻¹ of what stands beside its block, L Lᵀ = t I + block. Where rounding left
    that a little below 0, a shift of its size takes the place of t."""
    width, failed, lifted = len(strip), 1, t
    trace, block = sums.trace + float(np.trace(strip[:, :width])), strip
    while failed:
        block = strip.copy(order="F")
        block.ravel(order="K")[: width * width : width + 1] += lifted
        factor, failed = _potrf(block[:, :width], lower=0, clean=0, overwrite_a=1)
        lifted = max(10.0 * lifted, rounding(sums.width + width, trace))
    solved = _trsm(1.0, block[:, :width], block[:, width:], lower=0, trans_a=1, overwrite_b=1)
    told = solved[:, -columns:]
    logdet = sums.logdet + 2.0 * float(np.log(np.diagonal(block)).sum())
    own, last = sums.own + np.einsum("dq,dq->q", told, told), sums.last + told[:, -1] @ told
    return Sums(own, last, logdet, trace, sums.width + width), solved


def _without(solved: np.ndarray, strips: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """The first of the later sources' strips once a source has been eliminated."""
    found, start = [], 0
    for strip in strips[:count]:
        stop, left = start + len(strip), strip.copy(order="F")
        found.append(_gemm(-1.0, solved[:, start:stop], solved[:, start:], 1.0, left, trans_a=1, overwrite_c=1))
        start = stop
    return found
