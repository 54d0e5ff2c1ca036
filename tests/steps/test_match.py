"""A matched single: as many epochs as spend the winner's FLOPs, or a layer that makes up for its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfuse.schedules import Schedule
from transfuse.steps import Context, _spent, match
from transfuse.steps._fitted import matched
from transfuse.store import Artifact, Store

CONTEXT = Context(Store(Path()), Path())
ROWS = Artifact(None, {
    "train": np.arange(20), "fit0": np.arange(20), "held0": np.arange(20, 30), "calibrate": np.arange(30, 40),
})  # fmt: skip
PLAN = Schedule(epochs=5, batch=10, rates=(0.1, 0.2), least_steps=1)
LIMITS = {"longest": 50, "largest": 1_000, "widest": 100, "width": 8, "classes": 3}


def fit(items: int, regime: str = "frozen") -> Artifact:
    return Artifact({"kind": "train", "items": items, "made_of": {"params": {"schedule": {"regime": regime}}}}, {})


def count(step: int = 1, member: int = 0, parameters: int = 0) -> Artifact:
    return Artifact({"step_flops": step, "member_flops": member, "parameters": parameters}, {})


def flops(winner: list[tuple[Artifact, Artifact]], single: Artifact, plan: Schedule = PLAN) -> dict[str, Any]:
    inputs = {"single": single, "winner": count(), "rows|s0": ROWS, "rows|s1": ROWS}
    for index, (fitted, counted) in enumerate(winner):
        inputs |= {f"count|{index}": counted, f"fit|{index}|s0": fitted, f"fit|{index}|s1": fitted}
    return match.run({"rule": "flops", "schedule": plan.record(), **LIMITS}, inputs, CONTEXT)[0]


def test_the_epochs_spend_the_budget_and_not_an_epoch_more() -> None:
    """Winner: 1,000 items at 10 FLOPs and 40 rows of features at 7; single: 2 rates of 20 rows at 4, features at 2."""
    found = flops([(fit(1_000), count(10, 7))], count(4, 2))
    budget, single = 1_000 * 10 + 40 * 7, 40 * 2
    epochs = found["schedule"]["epochs"]
    assert found["told"]["budget_flops"] == budget
    assert single + epochs * 2 * 20 * 4 >= budget > single + (epochs - 1) * 2 * 20 * 4
    assert not found["told"]["capped"] and not found["told"]["dearer"]


def test_it_does_not_stop_early() -> None:
    found = flops([(fit(1_000), count(10))], count(4))["schedule"]
    assert found["patience"] == found["epochs"]


def test_a_pool_spent_what_its_parts_spent() -> None:
    parts = [(fit(300), count(10)), (fit(500, "full"), count(3, 99))]
    assert flops(parts, count())["told"]["budget_flops"] == 300 * 10 + 500 * 3


def test_the_stretch_is_capped_and_told() -> None:
    found = flops([(fit(10**9), count(10))], count(4))
    assert found["schedule"]["epochs"] == 50 * 5
    assert found["told"]["capped"]


def test_a_single_that_already_costs_more_keeps_its_schedule_and_tells() -> None:
    found = flops([(fit(1), count(1))], count(4))
    assert found["schedule"]["epochs"] == 5
    assert found["told"]["dearer"]


def test_a_trained_single_pays_no_features_apart() -> None:
    frozen = flops([(fit(1_000), count(10))], count(4, 100))
    full = flops([(fit(1_000), count(10))], count(4, 100), Schedule(**{**vars(PLAN), "regime": "full"}))
    assert full["told"]["epochs"] > frozen["told"]["epochs"]


def parameters(winner: int, single: int, **limits: int) -> dict[str, Any]:
    inputs = {"single": count(parameters=single), "winner": count(parameters=winner)}
    return match.run({"rule": "parameters", "schedule": None, **LIMITS, **limits}, inputs, CONTEXT)[0]


@pytest.mark.parametrize("winner", [128, 129, 500, 999])
def test_the_layer_is_the_narrowest_that_makes_up_for_the_parameters(winner: int) -> None:
    body, hidden = 100, parameters(winner, 127)["settings"]["project"]

    def total(width: int) -> int:
        return body + (8 + 1) * width + (width + 1) * 3

    assert total(hidden) >= winner
    assert hidden == 1 or total(hidden - 1) < winner


@pytest.mark.parametrize(
    ("winner", "limits", "word"),
    [(127, {}, "no fewer parameters"), (5_000, {}, "are not trained"), (999, {"widest": 10}, "wide")],
)
def test_what_cannot_be_matched_is_told(winner: int, limits: dict[str, int], word: str) -> None:
    assert word in parameters(winner, 127, **limits)["failed"]


def test_a_match_changes_settings_and_schedule_and_nothing_else() -> None:
    params = {"settings": {"project": 0, "dropout": 0.1}, "schedule": {"epochs": 1, "batch": 4}, "seed": 3}
    found = Artifact({"settings": {"project": 9}, "schedule": {"epochs": 8}}, {})
    assert matched(params, {"match": found}) == {
        "settings": {"project": 9, "dropout": 0.1},
        "schedule": {"epochs": 8, "batch": 4},
        "seed": 3,
    }
    assert matched(params, {}) is params


def test_features_count_once_and_only_while_members_are_frozen() -> None:
    assert _spent.cold(fit(10), count(2, 5), ROWS.arrays) == 10 * 2 + 40 * 5
    assert _spent.cold(fit(10, "full"), count(2, 5), ROWS.arrays) == _spent.warm(fit(10), count(2, 5)) == 20
