"""What each source contributes to a set: without it a source that rides along would share the praise.

A game v gives every set of sources a value. Sets are numbered by bits: set s holds source i where s & (1 << i).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np

from transfuse import seeds
from transfuse.evaluation.statistics.bootstrap import RESAMPLES, by_unit, counted, picks

Names = tuple[str, ...]


def shapley_weights(sources: int) -> np.ndarray:
    """The matrix that turns a game into its Shapley values. [K, 2^K].

    φ_i = Σ_{S ∌ i} |S|! (K − |S| − 1)! / K! · (v(S ∪ i) − v(S)); they add up to v(all) − v(none). Shapley, 1953.
    """
    found = np.zeros((sources, 1 << sources))
    for number in range(1 << sources):
        size = number.bit_count()
        for source in range(sources):
            bit = 1 << source
            if number & bit:
                continue
            weight = 1.0 / (sources * comb(sources - 1, size))
            found[source, number | bit] += weight
            found[source, number] -= weight
    return found


def interaction_weights(sources: int) -> np.ndarray:
    """The matrix that turns a game into pairwise Shapley interactions, pairs in `combinations` order. [K(K−1)/2, 2^K].

    I_ij = Σ_{S ∌ i, j} |S|! (K − |S| − 2)! / (K − 1)! · (v(S ∪ ij) − v(S ∪ i) − v(S ∪ j) + v(S)): above 0 where two
    sources complete each other, below where they repeat each other. Grabisch, Roubens, 1999.
    """
    couples = list(combinations(range(sources), 2))
    found = np.zeros((len(couples), 1 << sources))
    for place, (first, second) in enumerate(couples):
        one, other = 1 << first, 1 << second
        for number in range(1 << sources):
            if number & (one | other):
                continue
            weight = 1.0 / ((sources - 1) * comb(sources - 2, number.bit_count()))
            found[place, number | one | other] += weight
            found[place, number | one] -= weight
            found[place, number | other] -= weight
            found[place, number] += weight
    return found


def members(number: int, names: Sequence[str]) -> Names:
    """The set of that number."""
    return tuple(name for place, name in enumerate(names) if number & (1 << place))


def permutations(sources: int, pairs: int) -> list[list[int]]:
    """Orders in which sources join, in pairs of an order and its reverse. [2 · pairs, K].

    Mitchell et al., Sampling permutations for Shapley value estimation, JMLR 2022 (antithetic).
    """
    rng = seeds.stream("evaluate", "attribution", sources, pairs)
    drawn = [rng.permutation(sources).tolist() for _ in range(pairs)]
    return [order for each in drawn for order in (each, each[::-1])]


def interval_of_means(columns: np.ndarray, groups: Sequence[str] | np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """95 % bootstrap limits of the mean of each column, items (or groups) drawn once for all of them. [N, q] -> 2 [q].

    Percentiles of replicates shifted to have the point as their mean. All columns see the same draws, so whatever is
    linear in them may be computed before or after.
    """
    sums = by_unit(np.column_stack([columns, np.ones(len(columns))]), groups)
    parts = []
    for rows in picks(len(sums), RESAMPLES):
        drawn = counted(rows, len(sums)) @ sums
        parts.append(drawn[:, :-1] / drawn[:, -1:])
    replicates = np.concatenate(parts)
    shift = columns.mean(axis=0) - replicates.mean(axis=0)
    low, high = np.quantile(replicates + shift, [0.025, 0.975], axis=0)
    return low, high
