"""What the evaluation is given beside predictions: observations, features on rows apart, repeats put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transfuse.data.items import table
from transfuse.evaluation import temperature
from transfuse.steps import _apart, _case, _observed
from transfuse.steps._case import Entry
from transfuse.store import Artifact

COUNT = 12
TARGETS = np.arange(COUNT) % 3
ITEMS = table([str(row) for row in range(COUNT)], ["abc"[label] for label in TARGETS], ["0" * 32] * COUNT)
RNG = np.random.default_rng(0)
ROWS = Artifact(None, {
    "train": np.arange(6), "fit0": np.arange(6), "held0": np.arange(6, 8), "calibrate": np.arange(8, 10),
    "judge": np.arange(10, 12),
})  # fmt: skip
COUNTED = Artifact({"step_flops": 5, "member_flops": 100, "parameters": 1}, {})


def trained(regime: str = "frozen", loss: float = 0.5, **more: Any) -> Artifact:
    held = RNG.normal(size=(2, 3))
    meta = {
        "kind": "train", "scale": "logit", "temperature": 2.0, "selection": loss, "items": 60, "rows": 6,
        "curve": [{"epoch": 1, "held": 1.0, "accuracy": 0.25}, {"epoch": 2, "held": 0.7, "accuracy": 0.5}],
        "made_of": {"params": {"schedule": {"regime": regime}}}, **more,
    }  # fmt: skip
    return Artifact(meta, {"held_rows": np.arange(6, 8), "held": held})


def place(fit: Artifact, name: str = "a") -> dict[str, Entry]:
    return {name: Entry(name, {"s0": name}, {"s0": fit}, {}, {name: COUNTED})}


@pytest.mark.parametrize(("metric", "values"), [("log_loss", [1.0, 0.7]), ("accuracy", [0.25, 0.5]), ("brier", [])])
def test_a_curve_is_told_in_the_primary_metric_or_not_at_all(metric: str, values: list[float]) -> None:
    seen = list(_observed.epochs(place(trained()), {"s0": ROWS}, metric))
    assert [point.value for point in seen] == values


def test_items_and_flops_rise_along_the_curve_and_features_count_once() -> None:
    seen = list(_observed.epochs(place(trained()), {"s0": ROWS}, "log_loss"))
    assert [(point.items, point.warm_flops, point.flops) for point in seen] == [(6, 30, 1030), (12, 60, 1060)]
    assert not any(point.final for point in seen)


def test_members_that_learn_have_no_features_to_keep() -> None:
    seen = list(_observed.epochs(place(trained("full")), {"s0": ROWS}, "log_loss"))
    assert [(point.warm_flops, point.flops) for point in seen] == [(30, 30), (60, 60)]


def learned(*arms: str) -> dict[str, Artifact]:
    inputs = {f"learn|best_single|{arm}|s{run}|0": trained(rows=3) for run, arm in enumerate(arms)}
    inputs |= {f"weigh|best_single|{arm}|": COUNTED for arm in arms}
    fewer = Artifact(None, {**ROWS.arrays, "train": np.arange(3), "fit0": np.arange(3)})
    return inputs | {f"fewer|s{run}|0": fewer for run in range(len(arms))}


def test_a_training_on_fewer_rows_pays_for_the_features_of_fewer_rows() -> None:
    (point,) = _observed.sizes(learned("frozen/a"), "log_loss", TARGETS)
    assert (point.rows, point.items, point.warm_flops, point.flops) == (3, 60, 300, 300 + 100 * 7)
    assert point.final and point.value == 0.5


def test_another_arm_in_another_run_gives_the_places_name() -> None:
    assert {point.arm for point in _observed.sizes(learned("a", "a"), "log_loss", TARGETS)} == {"a"}
    assert {point.arm for point in _observed.sizes(learned("a", "b"), "log_loss", TARGETS)} == {"best_single"}
    assert {point.arm for point in _observed.sizes(learned("a@x", "a@y"), "log_loss", TARGETS)} == {"a"}


def test_a_failed_training_tells_nothing() -> None:
    inputs = learned("a") | {"learn|best_single|a|s0|0": Artifact({"failed": "NaN"}, {})}
    assert not list(_observed.sizes(inputs, "log_loss", TARGETS))


def test_the_selection_value_is_the_primary_metrics_on_the_held_rows() -> None:
    fit = trained(loss=0.123)
    assert _case.selected(fit, "log_loss", TARGETS) == 0.123
    accuracy = (fit["held"].argmax(1) == TARGETS[6:8]).mean()
    assert _case.selected(fit, "accuracy", TARGETS) == accuracy


def fold(rows: list[int], scores: np.ndarray) -> Artifact:
    return Artifact({"scale": "logit", "temperature": 1.0}, {"rows": np.array(rows), "scores": scores[rows]})


def test_repeats_are_runs_and_every_row_keeps_its_fold() -> None:
    first, second = RNG.normal(size=(2, 4, 3))
    items = _case.judged_items(ITEMS, {"f0": Artifact(None, {"judge": np.arange(4)})})[1]
    entry = Entry("a", predictions={
        "f3": fold([0, 2], second), "f0": fold([2, 3], first), "f1": fold([1, 0], first), "f2": fold([3, 1], second),
    })  # fmt: skip
    made = _case.judged_table(entry, items, {"f0": 0, "f1": 0, "f2": 1, "f3": 1})
    assert made.runs == ("r0", "r1")
    assert made.folds.tolist() == [[1, 1, 0, 0], [1, 0, 1, 0]]
    for run, scores in enumerate((first, second)):
        np.testing.assert_allclose(made.probs[run], temperature.apply(scores, "logit", 1.0))


def test_one_repeat_keeps_its_name() -> None:
    scores = RNG.normal(size=(4, 3))
    items = _case.judged_items(ITEMS, {"f0": Artifact(None, {"judge": np.arange(4)})})[1]
    entry = Entry("a", predictions={"f0": fold([0, 1], scores), "f1": fold([2, 3], scores)})
    assert _case.judged_table(entry, items, {"f0": 0, "f1": 0}).runs == ("oof",)


def block(rows: np.ndarray, width: int, **meta: Any) -> Artifact:
    return Artifact(meta, {"rows": rows, "block": RNG.normal(size=(len(rows), width))})


def test_features_of_several_taps_stand_side_by_side_and_a_failed_source_is_left_out() -> None:
    rows = np.array([6, 8, 9])
    inputs = {
        "features|a|0": block(rows, 2),
        "features|a|1": block(rows, 3),
        "features|b|0": block(rows, 4, failed="NaN"),
    }
    found = _apart.features(inputs, ITEMS, {"s0": ROWS}, None)
    assert {name: array.shape for name, array in found.blocks.items()} == {"a": (3, 5)}
    assert found.items.ids == ("6", "8", "9")
    assert _apart.features({"features|b|0": block(rows, 4, failed="NaN")}, ITEMS, {"s0": ROWS}, None) is None


def test_folds_of_features_are_tied_to_ids_and_groups_stay_whole() -> None:
    rows = np.arange(COUNT)
    groups = table(ITEMS.ids, ITEMS.labels, ITEMS.digests, groups=["one"] * 6 + ["two"] * 6)
    inputs = {"features|a|0": block(rows, 2)}
    turned = {"features|a|0": Artifact({}, {"rows": rows[::-1], "block": inputs["features|a|0"]["block"][::-1]})}
    straight = _apart.features(inputs, ITEMS, {}, None)
    back = _apart.features(turned, ITEMS, {}, None)
    assert dict(zip(straight.items.ids, straight.folds, strict=True)) == dict(
        zip(back.items.ids, back.folds, strict=True)
    )
    whole = _apart.features(inputs, groups, {}, None).folds
    assert len(set(whole[:6].tolist())) == len(set(whole[6:].tolist())) == 1


def test_cross_fitted_features_stand_in_the_fold_that_judges_them() -> None:
    rows = {
        run: Artifact(None, {"judge": np.array(own)}) for run, own in {"f0": [0, 3], "f1": [1, 2], "f2": [0, 1]}.items()
    }
    found = _apart.features({"features|a|0": block(np.arange(4), 2)}, ITEMS, rows, {"f0": 0, "f1": 0, "f2": 1})
    assert found.folds.tolist() == [0, 1, 1, 0]


def test_what_differs_in_training_is_noted() -> None:
    told = {"rule": "flops", "epochs": 250, "own_epochs": 5, "budget_flops": 1e9, "capped": True, "dearer": False}
    found = _case.notes(trained(trials=1, match=told), 3)
    assert [word in note for word, note in zip(("chosen from 1", "50 times", "spends less"), found, strict=True)] == [
        True
    ] * 3
    assert not _case.notes(trained(trials=3), 3)
    assert "1,205" in _case.notes(trained(match={"rule": "parameters", "hidden": 1205, "head_parameters": 9}), 0)[0]
