from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from transfuse.errors import UserError
from transfuse.jsonio import digest
from transfuse.schedules import DEFAULTS, REGIMES, SETTINGS, Schedule, schedule


@pytest.mark.parametrize("regime", ["frozen", "full"])
def test_a_name_alone_is_a_whole_schedule(regime: str) -> None:
    assert schedule(regime, where="here") == DEFAULTS[regime]
    assert schedule({"regime": regime}, where="here") == DEFAULTS[regime]


def test_what_is_given_stands_over_the_default() -> None:
    made = schedule(
        {"regime": "full", "epochs": 3, "rates": [1e-4, 0.1], "member_rate": 0, "smoothing": 0.1}, where="here"
    )
    assert (made.epochs, made.rates, made.member_rate, made.smoothing) == (3, (1e-4, 0.1), 0, 0.1)
    assert made.batch == DEFAULTS["full"].batch


def test_one_rate_needs_no_list() -> None:
    assert schedule({"rates": 0.01}, where="here").rates == (0.01,)


def test_partial_says_up_to_where() -> None:
    assert schedule({"regime": "partial", "until": "a.layer1"}, where="here").until == "a.layer1"
    with pytest.raises(UserError, match="belongs to partial"):
        schedule("partial", where="here")
    with pytest.raises(UserError, match="belongs to partial"):
        schedule({"regime": "full", "until": "a.layer1"}, where="here")


@pytest.mark.parametrize("idle", [{"member_rate": 0.5}, {"layer_decay": 0.5}, {"thaw": "gradual"}])
def test_what_moves_members_is_refused_where_all_are_frozen(idle: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="nothing to do where all members are frozen"):
        schedule({"regime": "frozen", **idle}, where="here")
    assert schedule({"regime": "full", **idle}, where="here").record().items() >= idle.items()


def test_what_is_frozen_is_not_refreshed() -> None:
    assert schedule({"regime": "full", "refresh": True}, where="here").refresh
    with pytest.raises(UserError, match="refresh belongs to full"):
        schedule({"regime": "frozen", "refresh": True}, where="here")


def test_who_names_a_number_of_epochs_gets_it() -> None:
    assert schedule({"regime": "frozen", "epochs": 3}, where="here").lasting(100).epochs == 3
    assert schedule({"regime": "frozen", "epochs": 3, "least_steps": 40}, where="here").lasting(100).epochs == 20
    assert schedule("frozen", where="here").lasting(100).epochs == 200


def test_every_regime_and_every_setting_is_a_field() -> None:
    assert set(REGIMES) < set(DEFAULTS)
    assert set(SETTINGS) | {"regime", "rates", "objective", "augment"} == {*Schedule().record(), "refresh"}


@pytest.mark.parametrize(("name", "value"), [(name, setting.invalid()) for name, setting in SETTINGS.items()])
def test_every_setting_refuses_what_is_out_of_its_range(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{name} must be") as caught:
        schedule({name: value}, where="recipe, train")
    assert caught.value.where == "recipe, train"


@pytest.mark.parametrize("rates", [[], [0], [-1e-3], [10], ["1e-3"], "fast", [True], [float("nan")], {"a": 1}])
def test_rates_that_are_none_are_refused(rates: Any) -> None:
    with pytest.raises(UserError, match="rates must be numbers between 0 and 10"):
        schedule({"rates": rates}, where="here")


@pytest.mark.parametrize(
    ("given", "what", "hint"),
    [
        ("frozn", "unknown regime 'frozn'", "frozen"),
        ({"regime": ["full"]}, "unknown regime", None),
        ({"epoch": 3}, "unknown training setting 'epoch'", "epochs"),
        ({3: 3}, "unknown training setting '3'", None),
    ],
)
def test_an_unknown_name_offers_the_nearest(given: Any, what: str, hint: str | None) -> None:
    with pytest.raises(UserError) as caught:
        schedule(given, where="here")
    assert caught.value.what.startswith(what)
    if hint is not None:
        assert hint in str(caught.value.hint)


def test_all_bad_values_are_one_error() -> None:
    with pytest.raises(UserError, match=r"cannot be planned \(3\)"):
        schedule({"epochs": 0, "patience": 1.5, "rates": [0]}, where="here")


def test_two_schedules_are_one_key_only_if_they_are_equal() -> None:
    assert digest(schedule("full", where="a").record()) == digest(schedule({"regime": "full"}, where="b").record())
    assert digest(schedule({"epochs": 3}, where="a").record()) != digest(schedule("frozen", where="a").record())


@pytest.mark.parametrize("rows", [1, 7, 64, 65, 1000, 100_000])
def test_small_training_sets_get_at_least_the_least_steps_and_patience_in_proportion(rows: int) -> None:
    plan = Schedule(epochs=40, batch=64, patience=10, least_steps=400)
    made = plan.lasting(rows)
    per_epoch = -(-rows // 64)
    assert made.epochs * per_epoch >= 400
    assert made.epochs == 40 or (made.epochs - 1) * per_epoch < 400
    assert made.patience * 40 >= 10 * made.epochs > (made.patience - 1) * 40
    assert replace(made, epochs=40, patience=10) == plan


def test_an_augmentation_and_its_settings_stand_beside_the_others_or_in_a_mapping() -> None:
    flat = schedule({"regime": "full", "augment": "mixup", "alpha": 0.5, "epochs": 3}, where="here")
    assert flat.augment == (("mixup", {"alpha": 0.5}),)
    assert flat.epochs == 3
    nested = schedule({"regime": "full", "augment": [{"name": "mixup", "alpha": 0.5}], "epochs": 3}, where="here")
    assert nested == flat
    assert flat.objective == (("supervised", {}),)
    assert [entry.full_name for entry in flat.entries] == ["train/objectives/supervised", "train/augment/mixup"]


def test_a_schedule_is_its_record_and_back() -> None:
    made = schedule({"regime": "full", "augment": "cutmix"}, where="here")
    again = Schedule.of(json.loads(json.dumps(made.record())))
    assert digest(again.record()) == digest(made.record())
    assert [entry.name for entry in again.entries] == ["supervised", "cutmix"]


@pytest.mark.parametrize(
    ("given", "mentions"),
    [
        ({"objective": "supervize"}, ["unknown objectives 'supervize'", "supervised"]),
        ({"regime": "full", "augment": "mixip"}, ["mixip", "mixup"]),
        ({"regime": "full", "augment": "mixup", "alpha": 0}, ["alpha must be", "0.01"]),
        ({"regime": "full", "augment": ["mixup", "cutmix"], "alpha": 1.0}, ["'alpha'", "several", "name: NAME"]),
        ({"regime": "full", "augment": ["mixup", "mixup"]}, ["mixup is named twice"]),
        ({"regime": "full", "augment": {"alpha": 1.0}}, ["name with settings", "alpha"]),
        ({"regime": "full", "augment": "mixup", "alhpa": 0.3}, ["'alhpa'", "alpha"]),
        ({"augment": "mixup"}, ["works on canvas", "is given blocks", "computes frozen features once"]),
        ({"regime": "full", "augment": "feature_mixup"}, ["works on blocks", "is given canvas"]),
    ],
)
def test_what_cannot_be_strived_for_is_one_clean_message(given: Any, mentions: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        schedule(given, where="recipe, train")
    assert all(text in str(caught.value) for text in mentions), str(caught.value)
    assert caught.value.where == "recipe, train"
