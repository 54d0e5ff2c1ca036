"""Which judged rows have a near-identical training row, as one source sees them: without it a photograph of a burst, a
cropped copy or a paraphrase on the other side of the split would count as skill.

No fixed distance means the same in two sources, nor in two places of one. So a row's distance to its nearest training
row, d_1, is measured by that to its tenth nearest, d_10. Where rows lie as by chance around a place of intrinsic
dimension m, the share of the ball that d_1 takes, v = (d_1 / d_10)^m, has

    P(v ≤ x) = 1 − (1 − x)^9,

whatever the density there (Levina and Bickel, NeurIPS 2004; Facco et al., Scientific Reports 2017). m is read from the
median of d_1 / d_10 over training rows among themselves, which copies among fewer than half of them do not move far. A
row is near-identical where chance alone would bring a training row as near in at most `RATE` of rows, and where that
one is at most half as far as the tenth. The rate holds where m is the same everywhere; where it is 3 in one class and
12 in another, up to 4 % of independent rows are called so. More than nine copies of one thing among the training rows
pass for a dense place and are not found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from transfuse.types import Undefined

TENTH = 10
RATE = 0.001
HALF = 0.5
# Training rows, and of them so many at most whose own neighbours tell the dimension.
FEWEST, REFERENCES = 50, 1000
# Pairs times columns: not two minutes of one core.
MOST_PRODUCTS = 1_000_000_000_000
# Judged and training rows at once: a block takes some ten megabytes.
BLOCK, OTHERS = 512, 4096
# Of candidates in single precision one more is looked at exactly, since the last bits may have misled.
SPARE = 2

# Features [n, D] of these rows.
Lines = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Limit:
    """How near is too near in one run: at most `ratio` of the distance to the tenth; the dimension behind it."""

    ratio: float
    dimension: float


@dataclass(frozen=True)
class Nearest:
    """The nearest training row of each judged row: `other [n]` row numbers, `ratio [n]` of d_1 to d_10, NaN where ten
    training rows are equal to it; the run's limit, and the share `own` of training rows that are as near to another."""

    other: np.ndarray
    ratio: np.ndarray
    limit: Limit
    own: float


@dataclass(frozen=True)
class Near:
    """What one finder knows of all judged rows, in the order of the case's items.

    `close [N]`: which have a near-identical training row; `other`: the id of the nearest training row, "" where it is
    not known; `ratio [N]` of d_1 to d_10; `label [N]`: the class of the nearest training row, in tasks of classes.
    `about` is what the finder says of itself, for the record.
    """

    close: np.ndarray
    other: tuple[str, ...]
    ratio: np.ndarray | None = None
    label: np.ndarray | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """What makes columns comparable: means and standard deviations of the training rows, of columns that vary."""

    kept: np.ndarray
    mean: np.ndarray
    spread: np.ndarray

    def __call__(self, block: np.ndarray) -> np.ndarray:
        return (np.asarray(block[:, self.kept], dtype=np.float64) - self.mean) / self.spread


def nearest(
    lines: Lines, train: np.ndarray, judged: np.ndarray, apart: np.ndarray, rate: float = RATE
) -> Nearest | Undefined:
    """The nearest of the training rows for each judged row of one run.

    `apart [M]` numbers the groups of all rows, or the rows: training rows of one group are no neighbours of each other
    where the dimension is read, since no judged row has one of its own group. Columns are standardised on the training
    rows. `Undefined` for fewer than 50 training rows, too many pairs, features that do not vary, or rows of which half
    have an equal.
    """
    if len(train) < FEWEST:
        return Undefined(f"ten neighbours and their spread need at least {FEWEST} training rows, got {len(train)}")
    scale = scaled(lines, train)
    width = len(scale.kept)
    if width == 0:
        return Undefined("the source gives all training rows the same features")
    some = train[np.linspace(0, len(train) - 1, min(REFERENCES, len(train))).astype(np.int64)]
    if (len(judged) + len(some)) * len(train) * width > MOST_PRODUCTS:
        return Undefined(f"too many pairs: {len(judged):,} judged and {len(train):,} training rows, {width:,} columns")
    own = ratios(neighbours(lines, some, train, scale, apart)[0])
    found = limit(own, rate)
    if isinstance(found, Undefined):
        return found
    distances, places = neighbours(lines, judged, train, scale, apart)
    return Nearest(places[:, 0], ratios(distances), found, float((own <= found.ratio).mean()))


def limit(own: np.ndarray, rate: float = RATE) -> Limit | Undefined:
    """The limit from the ratios [n] of training rows among themselves: `rate` of rows lie below it by chance.

    With q(p) = 1 − (1 − p)^(1/9): m = log q(1/2) / log median, and the limit is q(rate)^(1/m), at most 1/2.
    """
    known = own[np.isfinite(own)]
    middle = float(np.median(known)) if len(known) >= FEWEST / 2 else 0.0
    if middle <= 0.0:
        return Undefined("half of the training rows have equals among them, so nearness tells nothing")
    if middle >= 1.0:
        return Undefined("all neighbours of a row are equally far, so nearness tells nothing")
    dimension = math.log(_quantile(0.5)) / math.log(middle)
    return Limit(min(HALF, _quantile(rate) ** (1.0 / dimension)), dimension)


def ratios(distances: np.ndarray) -> np.ndarray:
    """d_1 / d_10 of distances [n, 10]; NaN where d_10 is 0 or there is no tenth."""
    first, tenth = distances[:, 0], distances[:, -1]
    fine = (tenth > 0.0) & np.isfinite(tenth)
    return np.where(fine, first / np.where(fine, tenth, 1.0), np.nan)


def scaled(lines: Lines, rows: np.ndarray) -> Scale:
    """Means and standard deviations over these rows, block by block; columns without spread are left out."""
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for start in range(0, len(rows), OTHERS):
        block = lines(rows[start : start + OTHERS]).astype(np.float64)
        own, size = block.mean(axis=0), len(block)
        gap = own - mean
        squares = squares + ((block - own) ** 2).sum(axis=0) + gap**2 * count * size / (count + size)
        mean, count = mean + gap * size / (count + size), count + size
    spread = np.sqrt(squares / count)
    # What differs by rounding alone is constant.
    kept = np.flatnonzero(spread > 1e-6 * np.maximum(np.abs(mean), spread.max(initial=0.0)))
    return Scale(kept, mean[kept], spread[kept])


def neighbours(
    lines: Lines, ones: np.ndarray, others: np.ndarray, scale: Scale, apart: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances [n, 10] from `ones` to the nearest `others` of another group, rising, and their row numbers [n, 10].

    Candidates are found by products in single precision, block by block, and their distances are then exact, so that
    neither blocks nor the order of rows decide. Infinite where there are fewer than ten.
    """
    best = np.full((len(ones), TENTH + SPARE), np.inf, dtype=np.float32)
    at = np.zeros(best.shape, dtype=np.int64)
    for column in range(0, len(others), OTHERS):
        these = others[column : column + OTHERS]
        against = scale(lines(these)).astype(np.float32)
        for start in range(0, len(ones), BLOCK):
            part = slice(start, start + BLOCK)
            found = _squares(scale(lines(ones[part])).astype(np.float32), against)
            found[apart[ones[part]][:, None] == apart[these]] = np.inf
            best[part], at[part] = _least(
                np.hstack([best[part], found]), np.hstack([at[part], np.broadcast_to(these, found.shape)])
            )
    exact = np.empty(best.shape)
    for start in range(0, len(ones), BLOCK):
        part = slice(start, start + BLOCK)
        exact[part] = _exact(lines, scale(lines(ones[part])), best[part], at[part], scale)
    order = np.lexsort((at, exact))[:, :TENTH]
    return np.take_along_axis(exact, order, axis=1), np.take_along_axis(at, order, axis=1)


def _squares(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared distances [n, m]."""
    found = ones @ others.T
    found *= -2.0
    found += (ones**2).sum(axis=1)[:, None]
    found += (others**2).sum(axis=1)
    return found


def _least(values: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    places = np.argpartition(values, TENTH + SPARE - 1, axis=1)[:, : TENTH + SPARE]
    return np.take_along_axis(values, places, axis=1), np.take_along_axis(at, places, axis=1)


def _exact(lines: Lines, block: np.ndarray, best: np.ndarray, at: np.ndarray, scale: Scale) -> np.ndarray:
    """Distances [n, k] of a block [n, D] to these rows in double precision; infinite ones stay."""
    found = np.stack(
        [np.sqrt(((scale(lines(at[:, number])) - block) ** 2).sum(axis=1)) for number in range(at.shape[1])], axis=1
    )
    return np.where(np.isfinite(best), found, np.inf)


def _quantile(share: float) -> float:
    """The part of the ball that d_1 takes in the lowest `share` of rows."""
    return -math.expm1(math.log1p(-share) / (TENTH - 1))
