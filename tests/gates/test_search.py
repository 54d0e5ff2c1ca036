"""The gate of the search: on null data (copies of one source, shuffled labels) it claims nothing; `make gates`."""

from __future__ import annotations

import numpy as np
import pytest

from gates.grid import most
from transfuse.steps._screen import Screen, optimism

pytestmark = pytest.mark.gates

WORLDS, ROWS, CLASSES, COLUMNS, LEVEL = 60, 240, 4, 12, 0.025


def screened(seed: int, kind: str) -> Screen:
    """Four sources: copies of one, or each its own with shuffled labels, or (`real`) each its own; all is tried."""
    rng = np.random.default_rng([seed, 5])
    targets = rng.integers(0, CLASSES, ROWS)
    means = 0.35 * rng.normal(size=(4, CLASSES, COLUMNS))
    blocks = {(name, "vector"): means[i][targets] + rng.normal(size=(ROWS, COLUMNS)) for i, name in enumerate("abcd")}
    if kind == "copies":
        blocks = dict.fromkeys(blocks, blocks["a", "vector"])
    shown = rng.permutation(targets) if kind == "shuffled" else targets
    flops = {key: 1e6 * (place + 1) for place, key in enumerate(blocks)}
    screen = Screen(blocks, shown, rng.integers(0, 5, ROWS), CLASSES, flops)
    screen.run()
    return screen


def claims(kind: str, worlds: int) -> int:
    """In how many worlds the chosen fusion's gain over the best single is shown."""
    found = 0
    for seed in range(worlds):
        screen = screened(seed, kind)
        found += optimism([one for one in screen.tried.values() if one.family != "single"], screen.singles).shown
    return found


@pytest.mark.parametrize("kind", ["copies", "shuffled"])
def test_on_null_data_the_search_claims_nothing(kind):
    assert claims(kind, WORLDS) <= most(LEVEL, WORLDS, tests=2) * WORLDS


def test_where_sources_know_different_things_it_does_claim():
    assert claims("real", WORLDS // 10) >= 0.8 * (WORLDS // 10)
