from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.errors import UserError
from transfuse.evaluation.questions import learning, retention
from transfuse.evaluation.statistics.learning import (
    area_by_log_rows,
    data_multiplier,
    falling,
    ratio_interval,
    rows_to_reach,
)
from transfuse.types import Evidence, Observation, Undefined

ROWS = np.array([10.0, 100.0, 1000.0])


def test_area_of_a_line_in_log_rows_is_its_middle() -> None:
    assert area_by_log_rows(ROWS, 1.0 - 0.1 * np.log(ROWS)) == pytest.approx(1.0 - 0.1 * np.log(100.0))
    assert area_by_log_rows(ROWS, np.array([[1.0, 1.0, 1.0], [3.0, 2.0, 1.0]])) == pytest.approx([1.0, 2.0])


def test_rows_are_read_off_in_log_rows() -> None:
    losses = np.array([0.9, 0.6, 0.3])
    assert rows_to_reach(ROWS, losses, 0.6) == pytest.approx(100.0)
    assert rows_to_reach(ROWS, losses, 0.75) == pytest.approx(10**1.5)
    assert rows_to_reach(ROWS, losses, 0.9) == 10.0
    assert rows_to_reach(ROWS, losses, 0.3) == pytest.approx(1000.0)


def test_nothing_is_extrapolated() -> None:
    losses = np.array([0.9, 0.6, 0.3])
    never, before = rows_to_reach(ROWS, losses, 0.29), rows_to_reach(ROWS, losses, 0.95)
    assert never == Undefined("not reached with 1000 rows")
    assert isinstance(before, Undefined) and "already with 10 rows" in before.reason


def test_a_curve_that_rises_in_between_is_levelled() -> None:
    assert falling(np.array([0.5, 0.7, 0.3])) == pytest.approx([0.6, 0.6, 0.3])
    assert rows_to_reach(ROWS, np.array([0.5, 0.7, 0.3]), 0.45) == pytest.approx(10**2.5)


def test_a_shifted_curve_has_its_shift_as_multiplier() -> None:
    base = 1.0 - 0.1 * np.log(ROWS)
    assert data_multiplier(ROWS, base, base - 0.1 * np.log(3.0), base[1]) == pytest.approx(3.0)
    assert data_multiplier(ROWS, base, base, base[1]) == pytest.approx(1.0)
    found = data_multiplier(ROWS, base, base + 5.0, base[1])
    assert isinstance(found, Undefined) and found.reason.startswith("the arm: not reached")


def test_broken_curves_are_refused() -> None:
    for rows in (np.array([10.0]), np.array([10.0, 10.0]), np.array([100.0, 10.0])):
        with pytest.raises(UserError, match="increasing sizes"):
            area_by_log_rows(rows, np.zeros(len(rows)))


def seen(arm: str, losses: list[float], runs: int = 2, spread: float = 0.02) -> list[Observation]:
    return [
        Observation(arm, f"s{run}", "selection_loss", loss + spread * run, int(rows), final=True)
        for run in range(runs)
        for rows, loss in zip(ROWS, losses, strict=True)
    ]


def rows_for(*groups: list[Observation], target: float | None = None) -> dict[str, Evidence]:
    case = changed(full_case(), observations=tuple(each for group in groups for each in group), target=target)
    found = learning.ask(case)
    assert len({row.id for row in found}) == len(found)
    return {row.id: row for row in found}


def test_sizes_have_means_over_runs_and_say_what_they_speak_of() -> None:
    rows = rows_for(seen("concat", [0.9, 0.6, 0.3]))
    row = rows["data_efficiency:concat:selection:clean:100"]
    assert row.value == pytest.approx(0.61) and row.provenance["rows"] == 100 and row.seeds == 2
    assert row.low is not None and "these selection rows only" in row.method
    assert rows["aulc:concat:selection:clean"].value == pytest.approx(0.61)
    assert not [name for name in rows if "-vs-" in name]


def test_gains_over_the_best_single() -> None:
    rows = rows_for(seen("concat", [0.8, 0.5, 0.3]), seen("frozen/a", [0.9, 0.7, 0.5]))
    couple = "concat-vs-frozen/a:selection:clean"
    assert rows[f"jump_start:{couple}"].value == pytest.approx(-0.1)
    assert rows[f"asymptote:{couple}"].value == pytest.approx(-0.2)
    areas = [rows[f"aulc:{arm}:selection:clean"].value for arm in ("frozen/a", "concat")]
    ratio = rows[f"transfer_ratio:{couple}"]
    assert ratio.value == pytest.approx(np.mean([0.175 / 0.7, 0.175 / 0.72])) and ratio.direction == "higher"
    assert areas == pytest.approx([0.71, 0.535])
    multiplier = rows[f"data_multiplier:{couple}"]
    # On the mean curves: the best single ends at 0.51, which the winner has with 100 rows.
    assert multiplier.value == pytest.approx(1000 / 100)
    assert multiplier.provenance["target_is"] == "what frozen/a reaches with all rows"
    assert set(multiplier.provenance["by_run"]) == {"s0", "s1"}


def test_a_target_fixed_beforehand_comes_first() -> None:
    found = rows_for(seen("concat", [0.8, 0.5, 0.3], 1), seen("frozen/a", [0.9, 0.7, 0.5], 1), target=0.7)
    row = found["data_multiplier:concat-vs-frozen/a:selection:clean"]
    assert row.value == pytest.approx(100 / 10 ** (1 + 1 / 3))
    assert row.provenance["target_is"] == "fixed beforehand"


def test_a_rising_metric_gains_upwards() -> None:
    case = full_case()
    accuracy = replace(case.task, metric="accuracy", also=())
    observed = (*seen("concat", [0.5, 0.7, 0.9]), *seen("frozen/a", [0.4, 0.5, 0.7]))
    rows = {row.id: row for row in learning.ask(changed(case, task=accuracy, observations=observed, target=None))}
    couple = "concat-vs-frozen/a:selection:clean"
    assert rows[f"jump_start:{couple}"].value == pytest.approx(0.1)
    ratio = rows[f"transfer_ratio:{couple}"].value
    assert isinstance(ratio, float) and ratio > 0
    assert rows[f"data_multiplier:{couple}"].value == pytest.approx(10.0)


def test_the_order_of_observations_is_irrelevant() -> None:
    groups = seen("concat", [0.8, 0.5, 0.3]), seen("frozen/a", [0.9, 0.7, 0.5])
    forth = rows_for(*groups)
    back = rows_for([each for group in reversed(groups) for each in reversed(group)])
    assert {name: row.record() for name, row in forth.items()} == {name: row.record() for name, row in back.items()}


def test_a_single_size_has_no_curve() -> None:
    rows = rows_for([each for each in seen("concat", [0.8, 0.5, 0.3]) if each.rows == 1000])
    assert set(rows) == {"data_efficiency:concat:selection:clean:1000"}


def test_retention_is_a_mean_over_runs_and_zero_where_frozen() -> None:
    observed = tuple(
        Observation("concat", f"s{run}", f"retention_kl:{source}", value, 500)
        for source, values in (("a", (0.0, 0.0)), ("b", (0.1, 0.3)))
        for run, value in enumerate(values)
    )
    frozen, moved = retention.ask(changed(full_case(), observations=observed))
    assert (frozen.versus, frozen.value, frozen.low) == ("a", 0.0, None)
    assert moved.value == pytest.approx(0.2) and moved.low == 0.0 and "a proxy" in moved.method


def test_a_ratio_has_the_jackknifes_interval_of_its_logarithm() -> None:
    """For a mean of logarithms the jackknife is the t interval."""
    logs = np.array([0.3, 0.5, 0.1, 0.4])
    without = [float(np.exp(np.delete(logs, place).mean())) for place in range(4)]
    found = ratio_interval(float(np.exp(logs.mean())), without)
    expected = stats.t.interval(0.95, 3, logs.mean(), stats.sem(logs))
    assert found is not None and np.log(found) == pytest.approx(expected)


@pytest.mark.parametrize("without", [[], [2.0], [2.0, 2.0], [2.0, Undefined("not reached")], [2.0, -1.0]])
def test_a_ratio_without_spread_or_value_has_no_interval(without: list[float | Undefined]) -> None:
    assert ratio_interval(2.0, without) is None


def test_the_multiplier_says_how_sure_it_is() -> None:
    rows = rows_for(seen("concat", [0.8, 0.5, 0.3], 4, 0.03), seen("frozen/a", [0.9, 0.7, 0.5], 4, 0.01))
    row = rows["data_multiplier:concat-vs-frozen/a:selection:clean"]
    assert isinstance(row.value, float) and row.low is not None and row.high is not None
    assert row.low < row.value < row.high and "jackknife over 4 runs" in row.method
