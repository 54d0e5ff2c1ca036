"""The wide grid of the null gate: spread over runs, persistence of errors, sizes; minutes, so `make gates` only."""

from __future__ import annotations

from itertools import product

import pytest

from evaluation.null_model import World, printed_effect, share_better

pytestmark = pytest.mark.gates
TRIALS = 2000
# About the largest of a hundred binomial draws at 2.5 %: mean 50, and three standard deviations of 7.
MOST_FALSE = 71
GRID = [
    World(runs, items, seed_sd, persistence, own)
    for runs, items in ((3, 1000), (5, 300), (10, 300), (5, 3000), (10, 1000))
    for seed_sd, persistence, own in product((0.0, 0.005, 0.01), (0.3, 0.7, 1.0), (0.5, 1.0))
]
# One run knows nothing of the spread over runs: its claim is about these trained models, which do not differ here.
ONE_RUN = [World(1, items, 0.0, 1.0, own) for items, own in product((300, 1000, 10_000), (0.5, 1.0))]


@pytest.mark.parametrize("world", [*GRID, *ONE_RUN], ids=str)
def test_few_false_claims(world: World) -> None:
    assert share_better(world, 0.0, 0.0, TRIALS, seed=11) * TRIALS <= MOST_FALSE
    assert share_better(world, 0.01, 0.01, TRIALS, seed=12) * TRIALS <= MOST_FALSE


@pytest.mark.parametrize("world", [*GRID, *ONE_RUN], ids=str)
def test_power(world: World) -> None:
    effect = printed_effect(world, 300, seed=13)
    # Where accuracy would pass 100 % the arm cannot be that good.
    if effect < 0.1:
        assert share_better(world, effect, 0.0, TRIALS, seed=14) >= 0.75
