"""Intervals of metrics that are no means over items; without it calibration error and worst class would have none.

Resamples are matrices of counts, drawn once for all arms, runs and metrics of the same items: the metric of every
resample is `finish(counts @ columns)`, and two arms meet on the same draws. Runs and items are *crossed*: items (or
whole groups) are drawn once for all runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from scipy.sparse import csr_array
from scipy.special import ndtr, ndtri

from transfuse import seeds
from transfuse.errors import UserError
from transfuse.evaluation.statistics.resample import Interval, group_codes, powers_of_two
from transfuse.types import Undefined

RESAMPLES = 2000
BLOCK = 256
SMALLEST_BOOTSTRAP = 5
# Products are in float32: a replicate is within about 1e-6 of its value, and what varies less does not vary.
STILL = 1e-6
SPARSE_BELOW = 1 / 40
MOST_CELLS = 4_000_000
Finish = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Resampled:
    """A metric of k runs: its values `points [k]`, those on each resample `drawn [R, k]`, and those without each unit
    `left_out [k, units]` (None where that would be too much to hold). Units are items or groups, in order of their
    names. `size` is how large the values are that these are differences of.
    """

    points: np.ndarray
    drawn: np.ndarray
    left_out: np.ndarray | None
    items: int
    units: int
    size: float = 0.0

    def of_runs(self, places: Sequence[int]) -> Resampled:
        """The same of some runs, in this order."""
        rows = list(places)
        left = None if self.left_out is None else self.left_out[rows]
        return Resampled(self.points[rows], self.drawn[:, rows], left, self.items, self.units, self.size)

    def minus(self, other: Resampled) -> Resampled:
        """The difference to another on the same units and runs."""
        if self.drawn.shape != other.drawn.shape or self.units != other.units:
            shapes = f"{self.drawn.shape} and {other.drawn.shape}"
            raise UserError("two arms to compare must share runs and items", got=shapes)
        both = self.left_out is not None and other.left_out is not None
        left = self.left_out - other.left_out if both else None  # pyright: ignore[reportOptionalOperand]
        size = max(float(np.abs(each.drawn).max()) for each in (self, other))
        return Resampled(self.points - other.points, self.drawn - other.drawn, left, self.items, self.units, size)


def picks(units: int, resamples: int) -> Iterator[np.ndarray]:
    """Which units each resample holds, block by block: `units` draws with replacement. Blocks [b, units].

    Keyed by the number of units alone, so all arms and metrics see the same resamples.
    """
    rng = seeds.stream("evaluate", "bootstrap", "items", units)
    for start in range(0, resamples, BLOCK):
        yield rng.integers(0, units, size=(min(BLOCK, resamples - start), units), dtype=np.uint32)


def counted(rows: np.ndarray, units: int) -> np.ndarray:
    """How often each unit occurs in each row of picks: exactly multinomial. [b, units] -> float32 [b, units]."""
    found = np.empty((len(rows), units), dtype=np.float32)
    for place, row in enumerate(rows):
        found[place] = np.bincount(row, minlength=units)
    return found


def run_counts(runs: int, resamples: int) -> np.ndarray:
    """How often each run occurs in each resample of runs. [resamples, runs]."""
    rng = seeds.stream("evaluate", "bootstrap", "runs", runs)
    drawn = rng.integers(0, runs, size=(resamples, runs))
    return (drawn[:, :, None] == np.arange(runs)).sum(axis=1).astype(np.float64)


def by_unit(columns: np.ndarray, groups: Sequence[str] | np.ndarray | None) -> np.ndarray:
    """Columns of one run, summed within groups where there are any. [N, q] -> [units, q]."""
    if groups is None:
        return columns
    codes = group_codes(groups)
    found = np.zeros((int(codes.max()) + 1, columns.shape[1]))
    np.add.at(found, codes, columns)
    return found


class Product:
    """counts @ columns for many tables of columns at once: equal columns are multiplied once, sparse ones as such."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._dense: dict[int, np.ndarray] = {}
        self._sparse: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take in columns [units, q]; gives the places [q] of their sums, and the factors [q] of these."""
        places, sizes = np.empty(columns.shape[1], dtype=np.intp), powers_of_two(columns, axis=0)
        for number, column in enumerate(np.ascontiguousarray((columns / sizes).T, dtype=np.float32)):
            place = self._known.setdefault(blake2b(column).digest(), len(self._known))
            places[number] = place
            if place in self._dense or place in self._sparse:
                continue
            held = np.flatnonzero(column)
            if len(held) < SPARSE_BELOW * len(column):
                self._sparse[place] = held, column[held]
            else:
                self._dense[place] = column.copy()
        return places, sizes[0]

    def close(self, units: int) -> None:
        """All columns are in: lay them out for the products."""
        self._table = np.stack(list(self._dense.values()), axis=1) if self._dense else None
        self._dense = dict.fromkeys(self._dense, np.empty(0))
        parts = list(self._sparse.values())
        ends = np.cumsum([0, *(len(rows) for rows, _ in parts)])
        self._rows = None
        if parts:
            values, rows = (np.concatenate([part[side] for part in parts]) for side in (1, 0))
            self._rows = csr_array((values, rows, ends), shape=(len(parts), units))

    def of(self, counts: np.ndarray) -> np.ndarray:
        """Sums of every distinct column over resamples. [b, units] -> [b, distinct]."""
        found = np.empty((len(counts), len(self._known)), dtype=np.float32)
        if self._table is not None:
            found[:, list(self._dense)] = counts @ self._table
        if self._rows is not None:
            found[:, list(self._sparse)] = (self._rows @ np.ascontiguousarray(counts.T)).T
        return found


def resample(
    sides: Iterable[tuple[Iterable[np.ndarray], Finish]], items: int, *, resamples: int = RESAMPLES
) -> list[Resampled]:
    """Several metrics, each of its runs' columns [units, q], on the same resamples. Columns are asked for one by one.

    Raises: `UserError` where the tables have different numbers of units.
    """
    product, plans, units = Product(), [], 0
    for runs, finish in sides:
        points, left, places = [], [], []
        for columns in runs:
            if units not in (0, len(columns)):
                raise UserError("what is resampled together must have the same units", got=f"{units}, {len(columns)}")
            units = len(columns)
            total = columns.sum(axis=0)
            places.append(product.add(columns))
            points.append(float(finish(total)))
            left.append(finish(total - columns) if columns.size <= MOST_CELLS else None)
        whole = None if any(each is None for each in left) else np.stack(left)
        plans.append((finish, places, np.array(points), whole, np.empty((resamples, len(points)))))
    product.close(units)
    start = 0
    for rows in picks(units, resamples):
        sums = product.of(counted(rows, units))
        for finish, places, _, _, drawn in plans:
            for run, (columns, sizes) in enumerate(places):
                drawn[start : start + len(rows), run] = finish(sums[:, columns].astype(np.float64) * sizes)
        start += len(rows)
    return [Resampled(points, drawn, whole, items, units) for _, _, points, whole, drawn in plans]


def crossed_bootstrap(
    columns: np.ndarray,
    finish: Finish,
    against: np.ndarray | None = None,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> Interval | Undefined:
    """Bootstrap interval of a metric, or of the difference to `against`. [k, N, q] each; see `interval`."""
    runs, items, _ = columns.shape
    if against is not None and against.shape[:2] != columns.shape[:2]:
        raise UserError("two arms to compare must share runs and items", got=f"{columns.shape} and {against.shape}")
    sides = [([by_unit(run, groups) for run in each], finish) for each in (columns, against) if each is not None]
    why = refusal(runs, len(sides[0][0][0]))
    if why is not None:
        return why
    found = resample(sides, items, resamples=resamples)
    return interval(found[0] if against is None else found[0].minus(found[1]))


def refusal(runs: int, units: int) -> Undefined | None:
    """Why there can be no bootstrap: 2 to 4 runs, where it is too narrow, or fewer than two units."""
    if 1 < runs < SMALLEST_BOOTSTRAP:
        return Undefined(f"a bootstrap over runs needs {SMALLEST_BOOTSTRAP} runs or one, got {runs}")
    if units < 2:
        return Undefined(f"a bootstrap needs at least two items or groups, got {units}")
    return None


def interval(found: Resampled, size: float = 1.0) -> Interval | Undefined:
    """Percentiles (Efron, 1979) of the mean over drawn runs, shifted so that the replicates' mean is the point.

    Calibration error and worst class are biased on resamples: plain percentiles of a level may miss its own point. The
    BCa interval is given beside (`Interval.bca`). `Undefined` where `refusal` says so, and where the metric does not
    exist on some resample or never varies, beside the `size` of its values as in `moments`.
    """
    runs = len(found.points)
    why = refusal(runs, found.units)
    if why is not None:
        return why
    replicates = (found.drawn * run_counts(runs, len(found.drawn))).sum(axis=1) / runs
    point = float(found.points.mean())
    if not np.isfinite(point) or not np.isfinite(replicates).all():
        return Undefined("the metric does not exist on every resample")
    if np.ptp(replicates) <= STILL * max(size, found.size, float(np.abs(replicates).max())):
        return Undefined("the metric is the same on every resample, so nothing tells how it would vary")
    variance = float(replicates.var(ddof=1))
    run_variance = min(float(found.points.var(ddof=1)) / runs, variance) if runs > 1 else 0.0
    limits = np.quantile(replicates - replicates.mean() + point, [0.025, 0.975, 0.05, 0.95])
    what = "items" if found.units == found.items else "groups"
    method = f"bootstrap over {what} only" if runs == 1 else f"bootstrap, runs and {what} crossed"
    return Interval(
        mean=point,
        se=variance**0.5,
        df=float("inf"),
        low=float(limits[0]),
        high=float(limits[1]),
        low90=float(limits[2]),
        high90=float(limits[3]),
        runs=runs,
        items=found.items,
        units=found.units,
        run_variance=run_variance,
        item_variance=variance - run_variance,
        method=f"{method}, centred percentiles",
        bca=None if found.left_out is None else bca(replicates, found.points, found.left_out),
    )


def bca(
    replicates: np.ndarray, points: np.ndarray, left_out: np.ndarray, level: float = 0.95
) -> tuple[float, float] | None:
    """The bias-corrected and accelerated interval of a mean over runs. [R], [k], [k, units]. Efron, 1987.

    z₀ = Φ⁻¹(share of replicates below the point, ties half); the acceleration is that of two samples, units and runs:
    a = Σ_s Σ_i (U_si / n_s)³ / (6 (Σ_s Σ_i (U_si / n_s)²)^{3/2}) with jackknife values U_si = (n_s − 1)(θ̄_s − θ_s(i)).
    With one run it is scipy's interval. None where the correction is infinite or without a value.
    """
    runs, point = len(points), float(points.mean())
    share = ((replicates < point).mean() + (replicates <= point).mean()) / 2.0
    samples = [left_out.mean(axis=0)]
    if runs > 1:
        samples.append((points.sum() - points) / (runs - 1))
    parts = [(len(each) - 1) * (each.mean() - each) / len(each) for each in samples]
    cubes, squares = sum(float((part**3).sum()) for part in parts), sum(float((part**2).sum()) for part in parts)
    if not (0.0 < share < 1.0 and squares > 0.0 and np.isfinite(cubes)):
        return None
    acceleration, bias = cubes / (6.0 * squares**1.5), float(ndtri(share))
    shifted = bias + np.asarray(ndtri([(1.0 - level) / 2.0, (1.0 + level) / 2.0]))
    if not (1.0 - acceleration * shifted > 0.0).all():
        return None
    low, high = np.quantile(replicates, ndtr(bias + shifted / (1.0 - acceleration * shifted)))
    return float(low), float(high)
