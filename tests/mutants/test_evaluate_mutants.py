"""Planted faults of evaluation: each check passes on our function and must fail on the mutant, or it checks nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import stdtrit

from evaluation.null_model import World
from transfuse.evaluation import claims, tables, temperature
from transfuse.evaluation.metrics import ece
from transfuse.evaluation.statistics import bootstrap, power
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.types import ItemTable

TRIALS = 400
# 2.5 % of 400 is 10, with a standard deviation of 3.1.
MOST_FALSE = 22


def false_claims(interval_of: Callable[[np.ndarray], Any], world: World) -> int:
    rng, found = np.random.default_rng(0), 0
    for _ in range(TRIALS):
        interval = interval_of(world.differences(rng, 0.0))
        found += isinstance(interval, Interval) and interval.low > 0
    return found


# -- what must hold ----------------------------------------------------------------------------------------------------


def check_few_false_claims(interval_of: Callable[[np.ndarray], Any]) -> None:
    """Runs that spread, and runs that share their items' errors: neither makes a gain out of nothing."""
    for world in (World(10, 300, 0.0), World(3, 2000, 0.02)):
        assert false_claims(interval_of, world) <= MOST_FALSE


def check_bootstrap_shares_items(resampled: Callable[..., Any]) -> None:
    """Runs that make the same errors tell no more about the items than one run."""
    rng = np.random.default_rng(1)
    values = np.stack([rng.normal(size=200), np.ones(200)], axis=1)
    one, five = (
        resampled(np.repeat(values[None], runs, axis=0), lambda sums: sums[..., 0] / sums[..., 1]) for runs in (1, 5)
    )
    assert five.se > 0.85 * one.se


def check_pairs_by_id(differences: Callable[..., np.ndarray]) -> None:
    """Rows in another order are the same rows."""
    rng = np.random.default_rng(2)
    known = ItemTable(tuple("abcdefgh"), rng.integers(0, 2, 8))
    first = tables.Table("a", known, rng.dirichlet([1, 1], (2, 8)), ("s0", "s1"))
    order = rng.permutation(8)
    turned = replace(
        first,
        arm="b",
        items=ItemTable(tuple(known.ids[row] for row in order), known.targets[order]),
        probs=first.probs[:, order],
    )
    assert np.abs(differences(first, turned, "log_loss")).max() < 1e-12


def check_holm(holm: Callable[[list[float]], list[float]]) -> None:
    """A larger raw p never has a smaller adjusted one, and a larger family never weaker correction."""
    adjusted = holm([0.010, 0.015, 0.016])
    assert adjusted == sorted(adjusted)
    assert adjusted[0] >= holm([0.010, 0.015])[0]


def check_margin_counts(status: Callable[..., str]) -> None:
    """A gain that is sure but smaller than the margin is not `better`."""
    assert status(0.01, 0.02, 0.011, 0.019, 0.05, "higher") == "equivalent"
    assert status(-0.09, -0.04, -0.085, -0.045, 0.05, "higher") == "not shown"


def check_status_mirrors(status: Callable[..., str]) -> None:
    """The other arm's view of the same interval is the mirrored word, in either direction."""
    for direction in ("higher", "lower"):
        words = {status(0.1, 0.3, 0.12, 0.28, 0.05, direction), status(-0.3, -0.1, -0.28, -0.12, 0.05, direction)}
        assert words == {"better", "worse"}
    assert status(0.1, 0.3, 0.12, 0.28, 0.05, "higher") == "better"


def check_temperature_sees_no_own_fold(crossfit: Callable[..., tuple[np.ndarray, np.ndarray]]) -> None:
    """Changing the labels of a fold does not change its own temperature."""
    rng = np.random.default_rng(3)
    ids = [f"i{row}" for row in range(100)]
    scores, targets = 3 * rng.normal(size=(100, 3)), rng.integers(0, 3, 100)
    fold = temperature.folds_of(ids)
    changed = np.where(fold == 0, scores.argmax(axis=1), targets)
    before, after = crossfit(scores, targets, "logit", ids)[1], crossfit(scores, changed, "logit", ids)[1]
    np.testing.assert_array_equal(before[fold == 0], after[fold == 0])


def check_full_confidence(columns: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Confidences .95 and 1.0, one of them wrong: 0.475, as both lie in the last bin."""
    found = ece.finish(columns(np.array([0, 1]), np.array([[0.95, 0.05], [1.0, 0.0]])).sum(axis=0))
    assert abs(float(found) - 0.475) < 1e-12


def check_printed_effect(printed: Callable[[Interval], float]) -> None:
    """Two runs of unlike levels: what such trials print on average, about 80 % of such trials show."""
    found, rng = [], np.random.default_rng(5)
    for level in rng.normal(size=2000):
        each = moments(np.tile([1.0, -1.0], 20) + np.array([[level], [-level]]) * 0.5**0.5)
        assert isinstance(each, Interval)
        found.append(each)
    effect, true = np.mean([printed(each) for each in found]), (0.5 + found[0].item_variance) ** 0.5
    shown = np.mean([effect + true * rng.normal() > each.mean - each.low for each in found])
    assert 0.77 <= shown <= 0.88


# -- the faults --------------------------------------------------------------------------------------------------------


def nested_bootstrap(columns: np.ndarray, finish: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """Items drawn anew inside each drawn run."""
    runs, items, _ = columns.shape
    rng, found = np.random.default_rng(0), []
    for _ in range(500):
        drawn = [columns[run][rng.integers(0, items, items)].sum(axis=0) for run in rng.integers(0, runs, runs)]
        found.append(float(np.mean([finish(sums) for sums in drawn])))
    low, high, low90, high90 = np.quantile(found, [0.025, 0.975, 0.05, 0.95])
    return Interval(
        float(np.mean(found)), float(np.std(found)), 1e9, low, high, low90, high90, runs, items, items, 0, 0, ""
    )


def nested_interval(values: np.ndarray) -> Interval:
    """The same fault in moments: every answer of every run counts as an item of its own."""
    se, mean = values.std(ddof=1) / values.size**0.5, values.mean()
    return Interval(mean, se, 1e9, mean - 1.96 * se, mean + 1.96 * se, 0, 0, *values.shape, values.size, 0, 0, "")


def items_only(values: np.ndarray) -> Any:
    """The mean over runs, as if it were one run."""
    return moments(values.mean(axis=0, keepdims=True))


def runs_only(values: np.ndarray) -> Interval:
    """A t interval over run means: true for this test set only."""
    means = values.mean(axis=1)
    half = stdtrit(len(means) - 1, 0.975) * means.std(ddof=1) / len(means) ** 0.5
    mean = means.mean()
    return Interval(mean, 1.0, 1.0, mean - half, mean + half, 0, 0, *values.shape, values.shape[1], 0, 0, "")


def unpaired(first: tables.Table, second: tables.Table, name: str) -> np.ndarray:
    """Row by row, whatever the ids say."""
    return tables.differences(first, replace(second, items=first.items), name)


def holm_without_steps(p: list[float]) -> list[float]:
    """Each p times its rank's factor, without the running maximum."""
    order = np.argsort(p)
    factors = np.empty(len(p))
    factors[order] = np.arange(len(p), 0, -1)
    return [float(min(1.0, value)) for value in np.asarray(p) * factors]


def no_margin(low: float, high: float, low90: float, high90: float, margin: float, direction: Any) -> str:
    return claims.status(low, high, low90, high90, 0.0, direction)


def one_sided(low: float, high: float, low90: float, high90: float, margin: float, direction: Any) -> str:
    """`direction` forgotten: a lower loss counts as worse only when it is larger."""
    word = claims.status(low, high, low90, high90, margin, direction)
    return "not shown" if word == "worse" else word


def undirected(low: float, high: float, low90: float, high90: float, margin: float, direction: Any) -> str:
    """The direction turned round."""
    return claims.status(low, high, low90, high90, margin, "lower" if direction == "higher" else "higher")


def fitted_on_test(
    scores: np.ndarray, targets: np.ndarray, scale: Any, ids: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    used = temperature.fit(scores, targets, scale)
    return temperature.apply(scores, scale, used), np.full(len(scores), used)


def extra_bin(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Bins closed on the left: a confidence of 1.0 falls into a bin of its own, which is then lost among the others."""
    confidence = probs.max(axis=1)
    gap = confidence - (probs.argmax(axis=1) == targets)
    found = np.zeros((len(gap), ece.BINS + 1))
    found[np.arange(len(gap)), np.floor(confidence * ece.BINS).astype(int) % ece.BINS] = gap
    found[:, ece.BINS] = 1.0
    return found


def as_if_known(found: Interval) -> float:
    """The spread of two runs taken for the true one."""
    return power.detectable_effect(found.se, found.df)


CASES: list[tuple[Callable[..., None], Any, list[Any]]] = [
    (check_few_false_claims, moments, [nested_interval, items_only, runs_only]),
    (check_bootstrap_shares_items, bootstrap.crossed_bootstrap, [nested_bootstrap]),
    (check_pairs_by_id, tables.differences, [unpaired]),
    (check_holm, power.holm, [holm_without_steps]),
    (check_printed_effect, power.shown_from, [as_if_known]),
    (check_margin_counts, claims.status, [no_margin]),
    (check_status_mirrors, claims.status, [one_sided, undirected]),
    (check_temperature_sees_no_own_fold, temperature.crossfit, [fitted_on_test]),
    (check_full_confidence, ece.columns, [extra_bin]),
]


@pytest.mark.parametrize(("check", "ours"), [(check, ours) for check, ours, _ in CASES], ids=lambda each: each.__name__)
def test_ours_passes(check: Callable[..., None], ours: Any) -> None:
    check(ours)


@pytest.mark.parametrize(
    ("check", "mutant"),
    [(check, mutant) for check, _, mutants in CASES for mutant in mutants],
    ids=lambda each: each.__name__,
)
def test_the_fault_is_caught(check: Callable[..., None], mutant: Any) -> None:
    with pytest.raises(AssertionError):
        check(mutant)
