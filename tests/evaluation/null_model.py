"""Simulated predictions of two arms whose true accuracies are known exactly, for the null and power gates.

An answer of arm a, run r, item i is right where `ability + run_ar + item_i + own_ai + rest_ari > 0`. `item` is shared
by both arms (hard items), `own` by all runs of one arm (what it never learns), `run` moves all items of one run. All
are normal, so the true accuracy is Φ(ability / total). `persistence` is the share of an arm's own noise that its runs
have in common.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from transfuse.evaluation.claims import status
from transfuse.evaluation.statistics.power import shown_from
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.types import Status

SHARED = 1.0
ACCURACY = 0.85


@dataclass(frozen=True)
class World:
    """k runs of two arms on n items; `seed_sd` is the spread of a run's true accuracy, as a share."""

    runs: int
    items: int
    seed_sd: float
    persistence: float = 0.7
    own: float = 0.7

    @property
    def total(self) -> float:
        return float(np.sqrt(SHARED**2 + self.own**2 + self.run_sd**2))

    @property
    def run_sd(self) -> float:
        """The spread of ability that moves accuracy by `seed_sd` (the run's own part of `total` is negligible)."""
        scale = np.sqrt(SHARED**2 + self.own**2)
        density = np.exp(-(ndtri(ACCURACY) ** 2) / 2) / np.sqrt(2 * np.pi)
        return float(self.seed_sd * scale / density)

    def ability(self, accuracy: float) -> float:
        return float(ndtri(accuracy) * self.total)

    def right(self, rng: np.random.Generator, shared: np.ndarray, accuracy: float) -> np.ndarray:
        """Right answers [k, N] of one arm."""
        persistent = rng.normal(size=self.items) * self.own * self.persistence**0.5
        rest = rng.normal(size=(self.runs, self.items)) * self.own * (1 - self.persistence) ** 0.5
        run = rng.normal(size=(self.runs, 1)) * self.run_sd
        return (self.ability(accuracy) + run + shared + persistent + rest > 0).astype(np.float64)

    def differences(self, rng: np.random.Generator, gain: float) -> np.ndarray:
        """Differences in right answers [k, N] of two arms whose true accuracies differ by `gain`."""
        shared = rng.normal(size=self.items) * SHARED
        return self.right(rng, shared, ACCURACY + gain) - self.right(rng, shared, ACCURACY)


def said(differences: np.ndarray, margin: float) -> Status:
    """The status the judge gives these differences, by the functions it uses."""
    found = moments(differences)
    if not isinstance(found, Interval):
        return "not shown"
    return status(found.low, found.high, found.low90, found.high90, margin, "higher")


def share_better(world: World, gain: float, margin: float, trials: int, seed: int) -> float:
    """How often `better` is said at this true gain."""
    rng = np.random.default_rng(seed)
    return sum(said(world.differences(rng, gain), margin) == "better" for _ in range(trials)) / trials


def printed_effect(world: World, trials: int, seed: int) -> float:
    """The mean detectable effect that the judge prints in this world at no gain."""
    rng = np.random.default_rng(seed)
    found = [moments(world.differences(rng, 0.0)) for _ in range(trials)]
    return float(np.mean([shown_from(each) for each in found if isinstance(each, Interval)]))
