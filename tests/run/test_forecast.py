"""Forecasts count what will run, and of a choice's options the dearest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plan.example_plan import plan, setting
from transfuse.plan.graph import Step
from transfuse.registry import method
from transfuse.run.forecast import Forecast, expected


def cost(step: Step) -> float:
    return {"fit": 1.0, "extract": 0.1}.get(step.name.split()[0], 0.0) * (10 if "tuned/b" in step.name else 1)


def test_the_dearest_option_of_a_choice_is_counted():
    wanted = expected(plan(setting(ladder="standard")), cost)
    assert "fit tuned/b s0" in wanted
    assert "fit tuned/a s0" not in wanted


def test_what_is_done_costs_nothing():
    made = plan(setting())
    whole = expected(made, cost)
    rest = expected(made, cost, done=set(whole) - {"evaluate"})
    assert set(rest) == {"evaluate"}


def test_of_steps_that_compute_the_same_one_is_counted():
    made = plan(setting())
    twin = replace(made.steps["fit frozen/a s0"], name="fit twin s0")
    both = replace(made, steps={**made.steps, twin.name: twin}, targets=(*made.targets, twin.name))
    assert expected(both, cost) == expected(made, cost)
    other = replace(twin, params={**twin.params, "seed": 99})
    apart = replace(both, steps={**made.steps, twin.name: other})
    assert set(expected(apart, cost)) == {*expected(made, cost), twin.name}


def test_seconds_grow_with_items_and_backward_passes():
    forecast = Forecast({"a": 2.0, "b": 1.0}, {"a": 6.0, "b": 3.0})
    made = plan(setting(ladder="standard"))
    frozen, tuned = made.steps["fit frozen/a s0"], made.steps["fit tuned/a s0"]
    features = made.steps["extract a.vector pool"]
    assert forecast.seconds(features) > 100 * 2.0 / 1000
    assert forecast.seconds(tuned) > forecast.seconds(frozen)


def of_compressing(how: dict, **more: object) -> Step:
    candidates = {"plain": {"fuse": "features/concat"}, "small": {"of": "plain", **how}}
    return plan(setting(candidates=candidates, **more)).steps["fit small s0"]


# Of the rows that are shown so many are asked of both forms.
BOTH, TAPS = 64, sum(len(card.taps) for card in setting().cards.values())
SHOWN, HELD = setting().runs[0].train_count, setting().runs[0].held_count


@pytest.mark.parametrize(
    ("how", "forward", "backward", "seconds"),
    [
        ({"compress": "magnitude"}, 2 * BOTH + HELD, 0, 0.0),
        ({"compress": "bfloat16"}, 16 * BOTH + 15 * HELD, 0, 0.0),
        ({"compress": "views"}, 6 * BOTH + 5 * HELD, 0, 0.0),
        ({"compress": "views", "mirror": True}, 11 * BOTH + 10 * HELD, 0, 0.0),
        ({"compress": "drop_branch"}, SHOWN + 2 * BOTH + HELD, 0, 0.0),
        ({"compress": "prune"}, 2 * BOTH + HELD, 0, 1.0),
        ({"compress": "prune", "by": "taylor"}, 2 * BOTH + HELD, SHOWN, 1.0),
        ({"compress": "quantise"}, 3 * SHOWN + 2 * BOTH + HELD, 0, 0.065 * TAPS),
        ({"compress": "quantise", "spare": 0.1}, 13 * SHOWN + 2 * BOTH + HELD, 0, 0.095 * TAPS),
    ],
)
def test_compressing_is_forecast_by_rows_form_and_size_of_the_network(how, forward, backward, seconds):
    step = of_compressing(how)
    work = step.work
    assert (work.forward, work.backward, work.seconds) == (forward, backward, pytest.approx(seconds))
    slow, quick = Forecast({"a": 7.0, "b": 3.0}, {"a": 20.0, "b": 10.0}), Forecast({}, {})
    assert slow.seconds(step) - quick.seconds(step) == pytest.approx((10 * forward + 30 * backward) / 1000)
    assert quick.seconds(step) == pytest.approx(0.4 + seconds)


def test_processes_that_train_together_are_paid_for_to_start():
    steps = [plan(setting(ladder="standard", run={"ranks": ranks})).steps for ranks in (1, 4)]
    forecast = Forecast({}, {})
    started = [forecast.seconds(each["fit tuned/a s0"]) for each in steps]
    assert started[1] - started[0] == pytest.approx(3 * 3.3)
    assert forecast.seconds(steps[1]["predict tuned/a s0"]) == forecast.seconds(steps[0]["predict tuned/a s0"])


def test_a_frozen_source_that_learning_runs_through_is_paid_for_again():
    made = plan(setting(candidates={"added": {"fuse": "structure/lora"}, "plain": {"fuse": "features/concat"}}))
    assert made.steps["fit added s0"].work.members == ("a", "b")
    assert made.steps["predict added s0"].work.forward == 50
    assert made.steps["fit plain s0"].work.members == ()


def test_a_crown_on_maps_takes_its_own_time_for_every_item_it_sees():
    made = plan(setting(candidates={"levels": {"fuse": "features/pyramid"}, "plain": {"fuse": "features/concat"}}))
    levels, plain = made.steps["fit levels s0"], made.steps["fit plain s0"]
    assert (levels.work.counted, plain.work.counted) == ("count levels", "")
    assert levels.work.counted in made.steps
    ahead, counted = Forecast({}, {}), Forecast({}, {}, crown_ms={"count levels": (2.0, 5.0)})
    items = levels.work.forward * 2.0 + levels.work.backward * 5.0
    assert counted.seconds(levels) - ahead.seconds(levels) == pytest.approx(items / 1000)
    assert counted.seconds(plain) == ahead.seconds(plain)


def test_what_is_counted_is_not_paid_for_as_a_source_as_well():
    """Low-rank additions run their sources again, and that is in what was counted."""
    made = plan(setting(candidates={"added": {"fuse": "structure/lora"}, "plain": {"fuse": "features/concat"}}))
    added = made.steps["fit added s0"]
    assert (added.work.members, added.work.counted) == (("a", "b"), "count added")
    slow = {"a": 1000.0, "b": 1000.0}
    nothing = {"count added": (0.0, 0.0)}
    assert Forecast(slow, slow, crown_ms=nothing).seconds(added) == Forecast({}, {}).seconds(added)


def test_a_pool_that_learns_long_is_forecast_by_what_its_method_states():
    """Twenty selection rows of three classes: 60 pairs of each of two members, by 60 trees of depth 3, six times."""
    made = plan(setting(candidates={"boosted": {"fuse": "outputs/boosting"}, "mean": {"fuse": "outputs/mean_prob"}}))
    boosted, mean = made.steps["fit boosted s0"], made.steps["fit mean s0"]
    forecast, stated = Forecast({}, {}), method("outputs/boosting").cost
    assert boosted.work.seconds == pytest.approx(6 * 1e-6 * stated["microseconds"] * 2 * 60 * 60 * 3)
    assert forecast.seconds(boosted) - forecast.seconds(mean) == pytest.approx(boosted.work.seconds)


def test_a_stated_cost_grows_with_the_pairs_up_to_its_limit_and_with_the_settings_it_names():
    how = method("outputs/boosting")
    usual = how.settings({})
    assert how.fit_seconds(3, 2000, usual) == pytest.approx(2 * how.fit_seconds(3, 1000, usual))
    assert how.fit_seconds(3, 10**7, usual) == how.fit_seconds(3, how.load().LARGEST, usual)
    assert how.fit_seconds(3, 1000, {**usual, "trees": 120}) == pytest.approx(2 * how.fit_seconds(3, 1000, usual))
