"""A study tries what it is told as often as it may, keeps the best, and goes on where it was interrupted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import nn

from transfuse.schedules import SPACE, Schedule, searched
from transfuse.steps._trials import Trials, chooser
from transfuse.store import Store
from transfuse.train.loop import DivergedError, fit
from transfuse.train.study import Forgetful, changed, starts
from transfuse.train.tune import Rows, Training, tune

TRAIN = np.arange(30)
FOLDS = [(np.setdiff1d(TRAIN, held), held) for held in (TRAIN[0::2], TRAIN[1::2])]
LOCKED = Rows([(np.arange(25), np.arange(25, 40))], np.arange(40), final_fit=False)
CROSSED = Rows(FOLDS, TRAIN, final_fit=True)
RANGES = {"rate": (1e-4, 0.5), "weight_decay": (1e-3, 1.0)}


class Walking:
    """A chooser that walks through given places of each range, and counts."""

    def __init__(self, *places: float) -> None:
        self.places, self.asked = places, []

    def __call__(self, space, score, budget, first):
        self.asked.append((dict(space), budget, dict(first)))
        for place in self.places[:budget]:
            score({name: low + place * (high - low) for name, (low, high) in space.items()})
        return {}


@pytest.fixture
def training(lesson: Any, on_first: Any, blobs: Any) -> Any:
    def make(choose: Any, trials: int = 3, memory: Any = None, **changes: Any) -> Training:
        built = lesson(*blobs, **{"epochs": 4, **changes})
        plan = searched(built.schedule, trials, RANGES)
        given = {} if memory is None else {"memory": memory}
        return Training(lambda rows: on_first(lambda: nn.Linear(5, 3)), replace(built, schedule=plan), choose, **given)

    return make


def test_the_trial_with_the_lowest_held_loss_is_kept_and_every_training_is_counted(training, on_first) -> None:
    choose = Walking(0.0, 0.9, 0.4)
    made = training(choose)
    tuned = tune(made, LOCKED)
    (rows, held), losses = LOCKED.fits[0], {}
    for place in choose.places:
        rate = float(f"{1e-4 * (0.5 / 1e-4) ** place:.6g}")
        again = changed(made, {"weight_decay": float(f"{1e-3 * 1e3**place:.6g}")})
        losses[rate] = fit(again.lesson, on_first(lambda: nn.Linear(5, 3)), rows, held=held, rate=rate).loss
    assert tuned.rate == min(losses, key=lambda rate: losses[rate])
    assert tuned.values is not None and set(tuned.values) == {"rate", "weight_decay"}
    assert (tuned.trials, tuned.items) == (3, (3 + 1) * 4 * 25)
    space, budget, first = choose.asked[0]
    assert (
        budget == 3 and first["rate"] == pytest.approx(np.log(1e-2)) and space["rate"][1] == pytest.approx(np.log(0.5))
    )


@pytest.mark.parametrize("rows", [LOCKED, CROSSED])
def test_an_interrupted_study_goes_on_and_ends_with_the_same(training, rows, tmp_path) -> None:
    class StoppedError(Exception):
        pass

    class Failing(Trials):
        def keep(self, number, values, facts):
            if number == 2:
                raise StoppedError
            super().keep(number, values, facts)

    store = Store(tmp_path)
    whole = tune(training(chooser(0), 4, Forgetful()), rows)
    with pytest.raises(StoppedError):
        tune(training(chooser(0), 4, Failing(store, "step")), rows)
    built: list[int] = []
    resumed = training(chooser(0), 4, Trials(store, "step"))
    build = resumed.build
    resumed = replace(resumed, build=lambda of: built.append(len(of)) or build(of))
    again = tune(resumed, rows)
    assert (again.rate, again.epoch, again.items, again.values) == (whole.rate, whole.epoch, whole.items, whole.values)
    np.testing.assert_array_equal(again.held_scores, whole.held_scores)
    # What the two remembered trials took is counted, and told apart: it was not timed here.
    assert (whole.remembered, again.remembered) == (0, 2 * sum(4 * len(of) for of, _ in rows.fits))
    # Two of four trials were remembered: two more, and the best once more.
    assert len(built) == (2 + 1) * len(rows.fits) + rows.final_fit


def test_trials_of_another_step_are_not_taken_for_ones_own(training, tmp_path) -> None:
    store, values = Store(tmp_path), {"rate": 0.1}
    Trials(store, "one").keep(0, values, {"loss": 1.0, "items": 2})
    assert Trials(store, "one").recall(0, values) == {"loss": 1.0, "items": 2}
    assert Trials(store, "two").recall(0, values) is None
    assert Trials(store, "one").recall(1, values) is None
    assert Trials(store, "").recall(0, values) is None


def test_a_trial_that_diverges_loses_and_if_all_do_the_arm_is_given_up(training, monkeypatch) -> None:
    from transfuse.train import tune as module

    real = module.fit

    def diverging(lesson, model, rows, *, held, rate, stop_after=None):
        if rate > 0.1:
            raise DivergedError("too fast", 11)
        return real(lesson, model, rows, held=held, rate=rate, stop_after=stop_after)

    monkeypatch.setattr(module, "fit", diverging)
    tuned = tune(training(Walking(1.0, 0.5)), LOCKED)
    # One diverged, one did not and is trained once more.
    assert tuned.rate < 0.1 and tuned.items == 11 + 2 * 4 * 25
    with pytest.raises(DivergedError, match="every trial"):
        tune(training(Walking(1.0, 0.99)), LOCKED)


def test_a_study_starts_from_the_schedule_as_it_stands() -> None:
    plan = searched(
        Schedule(rates=(1e-3, 1e-1), weight_decay=0.5, smoothing=0.1), 5, {**RANGES, "smoothing": (0.0, 0.3)}
    )
    assert starts(plan) == {"rate": pytest.approx(1e-2), "weight_decay": 0.5, "smoothing": 0.1}


def test_what_frozen_sources_have_no_use_for_is_not_searched_and_no_trials_change_nothing() -> None:
    assert [name for name, _, _ in searched(Schedule(), 5, SPACE).space] == [
        name for name in SPACE if name not in ("member_rate", "layer_decay")
    ]
    assert searched(Schedule(), 0, SPACE) == Schedule() and "trials" not in Schedule().record()
    plan = searched(Schedule(), 7, RANGES)
    assert Schedule.of(plan.record()) == plan and plan.tries == 7
    assert "search" in [entry.name for entry in plan.entries]
