"""Worked tables of the literature and of the notes the judge is built on, recomputed exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from transfuse.evaluation.statistics.power import detectable_effect, mcnemar

# items, discordant share, smallest detectable difference in points at 80 % power.
DETECTABLE = [
    (360, 0.05, 3.3),
    (1000, 0.05, 2.0),
    (2000, 0.05, 1.4),
    (10_000, 0.02, 0.40),
    (10_000, 0.05, 0.63),
    (10_000, 0.10, 0.89),
]


@pytest.mark.parametrize(("items", "discordant", "points"), DETECTABLE)
def test_what_one_pair_of_models_can_show(items: int, discordant: float, points: float) -> None:
    """About 2.80 √(p_d / n) for a difference in accuracy."""
    found = 100 * detectable_effect((discordant / items) ** 0.5, np.inf)
    assert found == pytest.approx(280 * (discordant / items) ** 0.5, rel=2e-3)
    assert found == pytest.approx(points, abs=0.051 if points > 1 else 0.0051)


def operating(items: int, discordant: float, gain: float) -> tuple[float, float, float]:
    """Exact chances that McNemar's exact and mid-p tests fall below 0.05 and that Wald's lower bound is above 0."""
    up = (discordant + gain) / 2
    totals = np.arange(int(stats.binom.ppf(1 - 1e-7, items, discordant)) + 1)
    exact, middle, wald = 0.0, 0.0, 0.0
    for total, weight in zip(totals.tolist(), stats.binom.pmf(totals, items, discordant), strict=True):
        won = np.arange(total + 1)
        chance = weight * stats.binom.pmf(won, total, up / discordant)
        for b in won[chance > 1e-9].tolist():
            p_exact, p_mid = mcnemar(b, total - b)
            mean = (2 * b - total) / items
            low = mean - 1.96 * max((total / items - mean**2) / items, 0.0) ** 0.5
            exact += chance[b] * (p_exact < 0.05)
            middle += chance[b] * (p_mid < 0.05)
            wald += chance[b] * (low > 0)
    return exact, middle, wald


@pytest.mark.parametrize(
    ("gain", "expected"), [(0.0, (0.031, 0.047, 0.025)), (0.02, (0.314, 0.387, 0.403))], ids=["none", "2 points"]
)
def test_operating_characteristics_of_a_digits_sized_test_set(gain: float, expected: tuple[float, ...]) -> None:
    """360 items, 5 % discordant: the published simulation of 20,000 pairs, here by enumeration."""
    assert operating(360, 0.05, gain) == pytest.approx(expected, abs=0.008)
