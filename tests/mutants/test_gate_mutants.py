"""Faults that the release gates must catch: a few trials of a gate's own cell pass on our rule, not on the mutant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import stdtrit

from evaluation.null_model import World
from gates import grid, worlds
from transfuse.evaluation.metric import metric
from transfuse.evaluation.statistics.bootstrap import crossed_bootstrap
from transfuse.evaluation.statistics.folds import corrected
from transfuse.evaluation.statistics.resample import Interval, moments

TRIALS = 200
# As one of five tests: few trials need a narrower band than a whole grid does.
TESTS = 5


# -- what must hold ----------------------------------------------------------------------------------------------------


def check_locked_cell(judge: Callable[[np.ndarray], Any]) -> None:
    """Runs that spread by half a point, 2,000 items: no more false claims than chance allows, and coverage."""
    row = grid.locked_row(World(3, 2000, 0.01, 0.9, 0.5), judge, trials=TRIALS, power=False)
    assert grid.problems(row, TESTS) == []


def check_items_cell(judge: Callable[[np.ndarray], Any]) -> None:
    """Ten runs that make the same errors tell no more of the items than one."""
    row = grid.locked_row(World(10, 300, 0.0, 0.95, 0.7), judge, trials=TRIALS, power=False)
    assert grid.problems(row, TESTS) == []


def check_family(rule: str) -> None:
    """All pairs of five equal arms: a false claim in at most one family of twenty."""
    assert grid.problems(grid.family_row(1, 300, 0.0, rule=rule, trials=TRIALS), TESTS) == []


def check_choice(on_judged: bool) -> None:
    """The best of five equal candidates is no better than the single it is compared with."""
    assert grid.problems(grid.chosen_row(1, 300, 0.0, on_judged=on_judged, trials=4 * TRIALS), TESTS) == []


def check_repeats(variance: Callable[[np.ndarray, np.ndarray], Any]) -> None:
    """Repeats of cross-fitting are not new data: claims about equally good methods stay rare."""
    world, false = worlds.Learners("means", 100, 20, 0, 3), 0
    for data in worlds.crossfitted(world, TRIALS, seed=3):
        found = variance(data.differences, data.folds)
        false += isinstance(found, Interval) and found.low > 0
    assert false / TRIALS <= grid.most(grid.LEVEL, TRIALS, TESTS)


def check_bootstrap_is_paired(resampled: Callable[..., Any]) -> None:
    """Two arms that err on the same items differ by far less than two that err on different ones."""
    rng, chosen = np.random.default_rng(1), metric("macro_f1")
    targets, shared = rng.integers(0, 3, 300), rng.dirichlet(np.ones(3), 300)
    arms = [chosen.columns(targets, shared + 0.02 * rng.random((300, 3)))[None] for _ in range(2)]
    paired, alone = resampled(arms[0], chosen.finish, arms[1]), crossed_bootstrap(arms[0], chosen.finish)
    assert isinstance(alone, Interval)
    assert paired.se < 0.7 * alone.se


# -- the faults --------------------------------------------------------------------------------------------------------


def nested(values: np.ndarray) -> Interval:
    """Every answer of every run counts as an item of its own."""
    found = moments(values.reshape(1, -1))
    assert isinstance(found, Interval)
    return found


def items_only(values: np.ndarray) -> Any:
    """The mean over runs, as if it were one run."""
    return moments(values.mean(axis=0, keepdims=True))


def runs_only(values: np.ndarray) -> Any:
    """A t interval over the run means: the items' luck is forgotten."""
    return moments(np.repeat(values.mean(axis=1, keepdims=True), 2, axis=1))


def no_margin(values: np.ndarray) -> Any:
    """The interval moved up by what the margin asks."""
    found = moments(values)
    if not isinstance(found, Interval):
        return found
    return replace(found, low=found.low + grid.MARGIN, high=found.high + grid.MARGIN)


def repeats_as_data(differences: np.ndarray, folds: np.ndarray) -> Any:
    """s² / J over the fold means, as if folds and repeats were independent."""
    found = corrected(differences, folds)
    if not isinstance(found, Interval):
        return found
    half = float(stdtrit(found.df, 0.975)) * found.run_variance**0.5
    return replace(found, low=found.mean - half, high=found.mean + half)


def unpaired(one: np.ndarray, finish: Any, other: np.ndarray) -> Interval:
    """Each arm on resamples of its own."""
    first = crossed_bootstrap(one, finish)
    second = crossed_bootstrap(other, finish)
    assert isinstance(first, Interval) and isinstance(second, Interval)
    return replace(first, mean=first.mean - second.mean, se=(first.se**2 + second.se**2) ** 0.5)


def name(each: Any) -> str:
    return getattr(each, "__name__", str(each))


CASES: list[tuple[Callable[..., None], Any, list[Any]]] = [
    (check_locked_cell, moments, [items_only, nested, no_margin]),
    (check_items_cell, moments, [nested, runs_only]),
    (check_family, "Holm", ["none"]),
    (check_choice, False, [True]),
    (check_repeats, corrected, [repeats_as_data]),
    (check_bootstrap_is_paired, crossed_bootstrap, [unpaired]),
]


@pytest.mark.parametrize(("check", "ours"), [(check, ours) for check, ours, _ in CASES], ids=name)
def test_ours_passes(check: Callable[..., None], ours: Any) -> None:
    check(ours)


FAULTS = [(check, mutant) for check, _, mutants in CASES for mutant in mutants]


@pytest.mark.parametrize(("check", "mutant"), FAULTS, ids=name)
def test_the_gate_catches_the_fault(check: Callable[..., None], mutant: Any) -> None:
    with pytest.raises(AssertionError):
        check(mutant)
