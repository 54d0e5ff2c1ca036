from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf, logrank

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.errors import UserError
from transfuse.evaluation.questions import time_to_target
from transfuse.evaluation.statistics.survival import Times, first_reached, log_rank, median, restricted_mean, survival
from transfuse.types import Observation, Undefined


def drawn(seed: int, runs: int) -> Times:
    rng = np.random.default_rng(seed)
    return Times(rng.integers(1, 9, runs).astype(float), rng.random(runs) < 0.7)


def censored(found: Times) -> CensoredData:
    return CensoredData(uncensored=found.times[found.reached], right=found.times[~found.reached])


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(deadline=None, max_examples=30)
def test_survival_and_log_rank_are_scipys(seed: int, runs: int) -> None:
    first, second = drawn(seed, runs), drawn(seed + 1, runs)
    if not first.reached.any() or not second.reached.any():
        return
    arrivals, under_way = survival(first)
    assert under_way == pytest.approx(ecdf(censored(first)).sf.evaluate(arrivals))
    found = log_rank(first, second)
    if not isinstance(found, Undefined):
        assert found == pytest.approx(logrank(censored(first), censored(second)).pvalue)
        assert log_rank(second, first) == pytest.approx(found)


def test_restricted_mean_by_hand() -> None:
    found = Times(np.array([2.0, 4.0, 5.0, 8.0]), np.array([True, False, True, False]))
    # 1 up to 2, 3/4 up to 5, 3/8 up to 8.
    assert restricted_mean(found) == pytest.approx(2 + 0.75 * 3 + 0.375 * 3)
    assert restricted_mean(found, 4.0) == pytest.approx(2 + 0.75 * 2)
    assert restricted_mean(found, 1.0) == 1.0
    assert (found.censored, found.horizon) == (2, 8.0)
    assert median(found) == 5.0


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=12))
@settings(deadline=None, max_examples=30)
def test_where_all_arrive_the_mean_is_the_plain_mean(times: list[float]) -> None:
    found = Times(np.array(times), np.ones(len(times), dtype=bool))
    assert restricted_mean(found) == pytest.approx(np.mean(times))


def test_runs_that_never_arrive_make_an_arm_slower_not_faster() -> None:
    all_in = Times(np.array([2.0, 3.0, 9.0]), np.array([True, True, True]))
    one_lost = Times(np.array([2.0, 3.0, 9.0]), np.array([True, True, False]))
    assert restricted_mean(one_lost) == restricted_mean(all_in) > np.mean([2.0, 3.0])
    assert isinstance(median(Times(np.array([1.0, 2.0]), np.array([False, False]))), Undefined)


def test_broken_times_are_refused() -> None:
    for times in (np.array([]), np.array([-1.0])):
        with pytest.raises(UserError, match="one a run"):
            Times(times, np.ones(len(times), dtype=bool))


def test_first_reached_in_steps() -> None:
    curve = [(1.0, 0.9), (2.0, 0.5), (3.0, 0.7), (4.0, 0.4)]
    assert first_reached(curve, 0.5) == (2.0, True)
    assert first_reached(curve, 0.1) == (4.0, False)


def curve(arm: str, run: str, losses: list[float]) -> list[Observation]:
    return [
        Observation(arm, run, "epoch_loss", loss, 10, 10 * epoch, 100.0 * epoch + 7.0, 100.0 * epoch)
        for epoch, loss in enumerate(losses, start=1)
    ]


def rows_for(*curves: list[Observation], target: float | None = 0.5) -> dict[str, object]:
    case = changed(full_case(), observations=tuple(each for one in curves for each in one), target=target)
    return {row.id: row for row in time_to_target.ask(case)}


def test_time_to_target_by_items_and_flops_cold_and_warm() -> None:
    rows = rows_for(
        curve("concat", "s0", [0.9, 0.4, 0.3]),
        curve("concat", "s1", [0.5, 0.4, 0.3]),
        curve("frozen/a", "s0", [0.9, 0.8, 0.4]),
        curve("frozen/a", "s1", [0.9, 0.5, 0.4]),
    )
    values = {name: row.value for name, row in rows.items()}  # pyright: ignore[reportAttributeAccessIssue]
    assert values["time_to_target_items:concat:selection:clean"] == 15.0
    assert values["time_to_target_flops:concat:selection:clean"] == 157.0
    assert values["time_to_target_flops_warm:concat:selection:clean"] == 150.0
    assert values["speed_up:concat-vs-frozen/a:selection:clean:items"] == pytest.approx(25 / 15)
    assert values["speed_up:concat-vs-frozen/a:selection:clean:flops"] == pytest.approx(257 / 157)


def test_what_starts_from_nothing_is_run_against_too() -> None:
    case = full_case()
    scratch = changed(case.arms[0], name="scratch", role="control")
    curves = (
        curve("concat", "s0", [0.9, 0.4]),
        curve("frozen/a", "s0", [0.9, 0.8, 0.4]),
        curve("scratch", "s0", [0.9] * 7 + [0.4]),
    )
    found = changed(
        case, arms=(*case.arms, scratch), observations=tuple(each for one in curves for each in one), target=0.5
    )
    speed = {row.id: row.value for row in time_to_target.ask(found) if row.quantity == "speed_up"}
    assert speed["speed_up:concat-vs-scratch:selection:clean:items"] == pytest.approx(80 / 20)
    assert speed["speed_up:frozen/a-vs-scratch:selection:clean:items"] == pytest.approx(80 / 30)
    assert speed["speed_up:scratch-vs-frozen/a:selection:clean:items"] == pytest.approx(30 / 80)


def test_censored_runs_count_up_to_the_common_horizon() -> None:
    rows = rows_for(
        curve("concat", "s0", [0.9, 0.4]),
        curve("concat", "s1", [0.5, 0.4]),
        curve("frozen/a", "s0", [0.9, 0.8, 0.7]),
        curve("frozen/a", "s1", [0.9, 0.5, 0.4]),
    )
    alone = rows["time_to_target_items:frozen/a:selection:clean"]
    assert alone.value == pytest.approx(20 + 0.5 * 10)  # pyright: ignore[reportAttributeAccessIssue]
    assert "1 of 2 runs did not arrive" in alone.method  # pyright: ignore[reportAttributeAccessIssue]
    told = alone.provenance  # pyright: ignore[reportAttributeAccessIssue]
    assert (told["censored"], told["by_run"]) == (1, {"s0": None, "s1": 20.0})
    speed = rows["speed_up:concat-vs-frozen/a:selection:clean:items"]
    assert speed.value == pytest.approx(25 / 15)  # pyright: ignore[reportAttributeAccessIssue]


def test_never_reached_and_never_fixed_are_undefined() -> None:
    never = rows_for(curve("concat", "s0", [0.9, 0.8]), curve("frozen/a", "s0", [0.9, 0.4]))
    found = never["time_to_target_items:concat:selection:clean"].value  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(found, Undefined) and "not reached in any of 1 runs" in found.reason
    speed = never["speed_up:concat-vs-frozen/a:selection:clean:items"].value  # pyright: ignore[reportAttributeAccessIssue]
    assert speed == Undefined("concat did not reach the target in any run")
    (row,) = rows_for(curve("concat", "s0", [0.9]), target=None).values()
    assert row.value == Undefined("no target was fixed beforehand (judge.target)")  # pyright: ignore[reportAttributeAccessIssue]
    assert rows_for() == {}


def test_a_metric_that_rises_is_reached_from_below() -> None:
    case = full_case()
    accuracy = type(case.task)("multiclass", case.task.classes, "accuracy", ())
    seen = tuple(curve("concat", "s0", [0.5, 0.8, 0.9]))
    one = changed(case, task=accuracy, observations=seen, target=0.8)
    row = next(row for row in time_to_target.ask(one) if row.quantity == "time_to_target_items")
    assert row.value == 20.0
