"""Tests that assume no distribution: without them a p-value of three seeds would rest on a bell curve.

Under no difference, swapping the two arms of a seed (or an item) changes nothing, so every pattern of signs is as
likely. With k seeds there are 2^k patterns, and no p below 2 / 2^k exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfuse import seeds
from transfuse.errors import UserError
from transfuse.evaluation.statistics.resample import LAST_BITS, degrees_of_freedom, group_codes, powers_of_two

MOST_EXACT = 16
DRAWS = 4999
BLOCK = 500
# Means that differ by rounding only are equal.
EQUAL, ROUNDED = 1e-12, 1e-6


@dataclass(frozen=True)
class SignFlip:
    """Two-sided p, the smallest p that was within reach, and whether all patterns were tried."""

    p: float
    smallest: float
    exact: bool


def sign_flip(differences: np.ndarray, groups: Sequence[str] | np.ndarray | None = None) -> SignFlip:
    """`sign_flips` of one comparison [n]."""
    return sign_flips(np.asarray(differences, dtype=np.float64)[None], groups)[0]


def sign_flips(differences: np.ndarray, groups: Sequence[str] | np.ndarray | None = None) -> list[SignFlip]:
    """p of the means of paired differences [J, n] under random signs; whole groups keep one sign.

    Exact for up to 16 units, else 4,999 drawn patterns, the same for all J, with (b + 1) / (R + 1). Fisher, 1935;
    Phipson, Smyth, 2010.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 2 or not values.shape[1] or not np.isfinite(values).all():
        raise UserError("sign flips need finite differences [comparisons, n]", got=f"shape {list(values.shape)}")
    units = values
    if groups is not None:
        codes = group_codes(groups)
        units = np.stack([np.bincount(codes, weights=each) for each in values])
    units = units / powers_of_two(units, axis=1)
    count = units.shape[1]
    size, limit = np.abs(units).sum(axis=1), np.abs(units.sum(axis=1))
    if count <= MOST_EXACT:
        patterns = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        shares = (np.abs(patterns @ units.T) >= limit - EQUAL * np.maximum(1.0, size)).mean(axis=0)
        return [SignFlip(float(share), min(1.0, 2.0 / 2**count), True) for share in shares]
    rng, beyond = seeds.stream("evaluate", "sign flip", count), np.zeros(len(units))
    narrow = units.T.astype(np.float32)
    for start in range(0, DRAWS, BLOCK):
        rows = min(BLOCK, DRAWS - start)
        bits = np.frombuffer(rng.bytes(rows * -(-count // 8)), dtype=np.uint8).reshape(rows, -1)
        # Σ ± u = Σ u − 2 Σ of those that are turned.
        turned = np.unpackbits(bits, axis=1, count=count).astype(np.float32) @ narrow
        beyond += (np.abs(units.sum(axis=1) - 2.0 * turned) >= limit - ROUNDED * size).sum(axis=0)
    return [SignFlip((each + 1.0) / (DRAWS + 1), 1.0 / (DRAWS + 1), False) for each in beyond.tolist()]


@dataclass(frozen=True)
class Family:
    """Comparisons that are looked at together: their t values, degrees of freedom and how they vary together.

    `spread [J, J]` is the covariance of the J estimates.
    """

    t: np.ndarray
    df: np.ndarray
    spread: np.ndarray


def family(
    differences: Sequence[np.ndarray], groups: Sequence[str] | np.ndarray | None = None, size: float = 1.0
) -> Family:
    """The family of J comparisons on the same runs and items, from their differences [k, N] each.

    Covariances are those of crossed runs and items, as the variances of `moments`; where nothing varies (beside `size`,
    as there), t is 0.
    """
    stacked = np.stack(differences)
    count, runs, items = stacked.shape
    item_means = stacked.mean(axis=1)
    means = item_means.mean(axis=1)
    deviations = item_means - means[:, None]
    if groups is not None:
        codes = group_codes(groups)
        deviations = np.stack([np.bincount(codes, weights=each) for each in deviations])
    units = deviations.shape[1]
    from_items = deviations @ deviations.T * units / max(units - 1, 1) / items**2
    from_runs = np.zeros((count, count))
    if runs > 1:
        run_means = stacked.mean(axis=2)
        centred = run_means - run_means.mean(axis=1, keepdims=True)
        from_runs = centred @ centred.T / (runs - 1) / runs
    spread = from_items + from_runs
    variance = np.diag(spread)
    varies = variance > (LAST_BITS * np.maximum(size, np.abs(stacked).max(axis=(1, 2)))) ** 2
    t = np.divide(means, np.sqrt(variance), out=np.zeros(count), where=varies)
    parts = zip(np.diag(from_runs), np.diag(from_items), varies, strict=True)
    df = [degrees_of_freedom(run, item, runs, units) if some else float(units) for run, item, some in parts]
    return Family(t, np.array(df), spread)


def max_t(found: Family, draws: int = 20_000) -> list[float]:
    """Westfall and Young's step-down p-values of the family, which use how the comparisons vary together.

    The null draws are jointly normal with the family's correlation (the limit of resampling items and runs), each
    divided by its own √(χ² / df). p of the j-th largest |t| is the share of draws whose largest |T| among it and all
    smaller ones reaches it; never falling. Westfall, Young, 1993; Chernozhukov et al., 2013 (multipliers).
    """
    count = len(found.t)
    scale = np.sqrt(np.diag(found.spread))
    held = np.where(scale > 0, scale, 1.0)
    correlation = found.spread / np.outer(held, held)
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    rng = seeds.stream("evaluate", "max-t", count)
    drawn = np.abs(rng.standard_normal((draws, count)) @ root.T)
    drawn /= np.sqrt(rng.chisquare(np.broadcast_to(found.df, (draws, count))) / found.df)
    size = np.abs(found.t)
    order = np.argsort(size, kind="stable")
    largest = np.maximum.accumulate(drawn[:, order], axis=1)
    shares = (1.0 + (largest >= size[order] - EQUAL).sum(axis=0)) / (draws + 1.0)
    stepped = np.maximum.accumulate(shares[::-1])[::-1]
    adjusted = np.empty(count)
    adjusted[order] = stepped
    return [float(value) for value in adjusted]
