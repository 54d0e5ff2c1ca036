"""False claims and power of the judge, on simulated predictions with known truth."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.null_model import World, printed_effect, said, share_better
from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.claims import comparison_rows
from transfuse.evaluation.tables import Table
from transfuse.types import Arm, ItemTable, Task

CELLS = [World(3, 1000, 0.01), World(5, 300, 0.005), World(10, 300, 0.0)]
TRIALS = 2000
# The binomial band of 2.5 % in 2,000 trials: mean 50, standard deviation 7.
MOST_FALSE = 64


@pytest.mark.parametrize("world", CELLS, ids=str)
def test_few_false_claims_at_no_difference(world: World) -> None:
    assert share_better(world, 0.0, 0.0, TRIALS, seed=1) * TRIALS <= MOST_FALSE


@pytest.mark.parametrize("world", CELLS, ids=str)
def test_power_at_the_printed_effect_beyond_the_margin(world: World) -> None:
    effect = printed_effect(world, 200, seed=2)
    for margin in (0.0, 0.01):
        assert share_better(world, margin + effect, margin, 400, seed=3) >= 0.75


def test_few_false_claims_at_a_difference_equal_to_the_margin() -> None:
    assert share_better(CELLS[1], 0.02, 0.02, TRIALS, seed=4) * TRIALS <= MOST_FALSE


def test_the_simulated_truth_is_true() -> None:
    world, rng = World(10, 3000, 0.0), np.random.default_rng(0)
    found = np.mean([world.differences(rng, 0.03).mean() for _ in range(60)])
    assert found == pytest.approx(0.03, abs=0.003)


@pytest.mark.parametrize("gain", [0.0, 0.03, 0.08])
def test_the_judge_says_what_the_simulation_says(gain: float) -> None:
    """The same differences through a whole case give the same status."""
    world, rng = World(5, 300, 0.005), np.random.default_rng(7)
    shared = rng.normal(size=world.items)
    right = {"a": world.right(rng, shared, 0.85 + gain), "b": world.right(rng, shared, 0.85)}
    items = ItemTable(tuple(str(row) for row in range(world.items)), np.zeros(world.items, dtype=int))
    runs = tuple(f"s{run}" for run in range(world.runs))
    tables = {name: Table(name, items, np.stack([each, 1 - each], axis=2), runs) for name, each in right.items()}
    arms = tuple(Arm(name, "candidate", (name,), "features/concat", "frozen", "fused") for name in tables)
    case = Case(
        task=Task("multiclass", ("yes", "no"), metric="accuracy", also=()),
        items=items,
        arms=arms,
        tables=tables,
        selection={"a": 0.85, "b": 0.85},
        winner="a",
        best_single="b",
        comparisons=(("a", "b"),),
        margin=MarginRule(0.01),
        protocol="locked",
    )
    row = comparison_rows(case, case.comparisons, "accuracy", case.corrected)[0]
    assert row.provenance["status"] == said(right["a"] - right["b"], 0.01)
