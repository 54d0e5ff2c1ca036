"""Forecasts count what will run, and of a choice's options the dearest."""

from __future__ import annotations

from dataclasses import replace

from plan.example_plan import plan, setting
from transfuse.plan.graph import Step
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


def test_a_frozen_source_that_learning_runs_through_is_paid_for_again():
    made = plan(setting(candidates={"added": {"fuse": "structure/lora"}, "plain": {"fuse": "features/concat"}}))
    assert made.steps["fit added s0"].work.members == ("a", "b")
    assert made.steps["predict added s0"].work.forward == 50
    assert made.steps["fit plain s0"].work.members == ()
