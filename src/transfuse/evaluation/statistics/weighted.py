"""Resamples of metrics that are no function of sums over items: ranks, and functions given by users.

The resamples are those of all other metrics (`bootstrap.picks`), so two arms still meet on the same draws. Fewer are
drawn where items and labels are many, by sizes alone, never by a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from transfuse.evaluation.statistics.bootstrap import RESAMPLES, Resampled, counted, picks
from transfuse.evaluation.statistics.resample import group_codes

LEAST = 200
CELLS = 40_000_000
Weighted = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def resampled(
    law: Weighted,
    targets: np.ndarray,
    probs: np.ndarray,
    groups: Sequence[str] | np.ndarray | None,
    resamples: int | None = None,
) -> Resampled:
    """The metric of each run on every resample: probs [k, N, C], rows in the order of their ids.

    `law(targets, probs of one run, weights [R, N]) -> [R]`. Without a number of resamples 2,000 are drawn, fewer (never
    below 200) where resamples × items × columns exceed 40 million.
    """
    items, columns = probs.shape[1:]
    count = resamples or int(np.clip(CELLS // max(items * columns, 1), LEAST, RESAMPLES))
    codes = np.arange(items) if groups is None else group_codes(groups)
    units = int(codes.max()) + 1
    whole = np.ones((1, items))
    points = np.array([float(law(targets, run, whole)[0]) for run in probs])
    drawn = np.empty((count, len(probs)))
    start = 0
    for rows in picks(units, count):
        weights = counted(rows, units).astype(np.float64)[:, codes]
        for place, run in enumerate(probs):
            drawn[start : start + len(rows), place] = law(targets, run, weights)
        start += len(rows)
    return Resampled(points, drawn, None, items, units)
