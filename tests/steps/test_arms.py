"""Fitting and predicting: temperatures rest on calibration rows alone, judged rows on nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from transfuse.data.items import table
from transfuse.evaluation import temperature
from transfuse.steps import Context, as_is, pool, prior
from transfuse.steps._fitted import fits_of, fitted, selection_rows
from transfuse.store import Artifact, Store
from transfuse.types import Card, Prepare, Tap

CONTEXT = Context(Store(Path()), Path())
RNG = np.random.default_rng(0)
COUNT = 60
TARGETS = np.arange(COUNT) % 3
ITEMS = table([str(row) for row in range(COUNT)], ["abc"[label] for label in TARGETS], ["0" * 32] * COUNT)
ROWS = {
    "train": np.arange(0, 20), "fit0": np.arange(0, 20), "held0": np.arange(20, 30),
    "calibrate": np.arange(30, 40), "judge": np.arange(40, 60),
}  # fmt: skip
INPUTS = {"items": Artifact(ITEMS.to_json(), {}), "rows": Artifact(None, ROWS)}


def scores(rows: np.ndarray, sharpness: float = 1.0) -> np.ndarray:
    return sharpness * (np.eye(3)[TARGETS[rows]] + RNG.normal(size=(len(rows), 3)))


def sometimes_wrong(rows: np.ndarray) -> np.ndarray:
    """Logits that are sure of the right class in seven of ten rows, so that the best temperature is no bound."""
    return 4.0 * np.eye(3)[(TARGETS[rows] + (np.arange(len(rows)) % 10 >= 7)) % 3]


def test_the_prior_is_the_training_rows_frequencies_with_one_pseudo_count():
    meta, arrays = prior.run({}, INPUTS, CONTEXT)
    counts = np.bincount(TARGETS[:20], minlength=3) + 1
    np.testing.assert_allclose(arrays["shares"], counts / counts.sum())
    predicted = prior.predict({}, {**INPUTS, "fit": Artifact(meta, arrays)}, CONTEXT)
    np.testing.assert_allclose(predicted, np.tile(counts / counts.sum(), (20, 1)))


def rests_on_calibration_rows(fit: Callable[..., tuple]) -> None:
    """Moving the held rows leaves the temperature; moving the calibration rows moves it."""
    held, calibrate = sometimes_wrong(ROWS["held0"]), sometimes_wrong(ROWS["calibrate"])

    def heat(one: np.ndarray, other: np.ndarray) -> float:
        return fit({"held": (ROWS["held0"], one), "calibrate": (ROWS["calibrate"], other)}, "logit", TARGETS, {})[0][
            "temperature"
        ]

    assert heat(held * 2, calibrate) == heat(held, calibrate)
    assert heat(held, calibrate * 2) == pytest.approx(2 * heat(held, calibrate), rel=1e-3)


def test_the_temperature_rests_on_the_calibration_rows():
    rests_on_calibration_rows(fitted)


def test_mutant_temperature_from_the_held_rows_is_caught():
    def wrong(given, scale, targets, facts):
        swapped = {"held": given["calibrate"], "calibrate": given["held"]}
        return fitted(swapped, scale, targets, facts)

    with pytest.raises(AssertionError):
        rests_on_calibration_rows(wrong)


def test_the_selection_loss_is_that_of_the_held_rows_after_temperature():
    held, calibrate = scores(ROWS["held0"]), scores(ROWS["calibrate"])
    given = {"held": (ROWS["held0"], held), "calibrate": (ROWS["calibrate"], calibrate)}
    meta, _ = fitted(given, "logit", TARGETS, {})
    found = temperature.apply(held, "logit", meta["temperature"])[np.arange(10), TARGETS[20:30]]
    assert meta["selection"] == pytest.approx(-np.log(found).mean(), rel=1e-12)


def test_selection_rows_are_the_held_rows_of_all_fits():
    rows = {
        "fit0": np.array([0]),
        "held0": np.array([5, 6]),
        "fit1": np.array([1]),
        "held1": np.array([7]),
        "calibrate": np.array([9]),
    }
    assert [len(fit) for fit, _ in fits_of(rows)] == [1, 1]
    assert selection_rows(rows)["held"].tolist() == [5, 6, 7]


def member(sharpness: float) -> Artifact:
    given = {
        "held": (ROWS["held0"], scores(ROWS["held0"], sharpness)),
        "calibrate": (ROWS["calibrate"], scores(ROWS["calibrate"])),
    }
    return Artifact(*fitted(given, "logit", TARGETS, {"kind": "train"}))


def test_a_pool_is_the_mean_of_its_members_probabilities_joined_by_row():
    first, second = member(1.0), member(2.0)
    turned = {**second.arrays, "held_rows": second["held_rows"][::-1], "held": second["held"][::-1]}
    params = {"method": "outputs/mean_prob", "settings": {}}
    for other in (second, Artifact(second.meta, turned)):
        _, arrays = pool.run(params, {**INPUTS, "member0": first, "member1": other}, CONTEXT)
        mean = (softmax(first["held"]) + softmax(second["held"])) / 2
        np.testing.assert_allclose(arrays["held"], mean, atol=1e-12)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_a_failed_member_fails_the_pool_with_its_reason():
    params = {"method": "outputs/mean_prob", "settings": {}}
    meta, _ = pool.run(
        params, {**INPUTS, "member0": member(1.0), "member1": Artifact({"failed": "it diverged"}, {})}, CONTEXT
    )
    assert meta == {"failed": "it diverged"}


def test_as_is_takes_the_targets_classes_in_their_order():
    taps = {"logits": Tap("logits", "logits", 4, "")}
    card = Card("s", "demo:s", "demo", "", Prepare(8), taps, 4, ("c", "x", "a", "b"))
    block = RNG.normal(size=(COUNT, 4))
    inputs = {
        **INPUTS,
        "card0": Artifact(card.record(), {}),
        "x0|pool": Artifact({}, {"rows": np.arange(COUNT), "block": block}),
    }
    predicted = as_is.predict({"classes": ["a", "b", "c"]}, inputs, CONTEXT)
    np.testing.assert_allclose(predicted, block[40:60][:, [2, 3, 0]])
