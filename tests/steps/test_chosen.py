"""The item losses that choices rest on: by choice and candidate, of the same rows, and of classes only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transfuse.evaluation import temperature
from transfuse.steps._case import Entry, selected
from transfuse.steps._chosen import selection_losses
from transfuse.store import Artifact

TARGETS = np.arange(30) % 3
DESCRIBED = {name: {"role": "candidate"} for name in ("gate", "concat")} | {"frozen/a": {"role": "baseline"}}


def fit(seed: int, rows: Any = range(10), **meta: Any) -> Artifact:
    held = np.random.default_rng(seed).normal(size=(len(rows), 3))
    return Artifact({"scale": "logit", "temperature": 1.5, **meta}, {"held_rows": np.array(list(rows)), "held": held})


def entry(name: str, fits: dict[str, Artifact]) -> Entry:
    return Entry(name, dict.fromkeys(fits, name), fits)


def test_one_choice_over_all_seeds_has_the_mean_of_their_losses() -> None:
    fits = {"s0": fit(0, selection=0.0), "s1": fit(1, selection=0.0)}
    places = [entry("gate", fits), entry("concat", {"s0": fit(2), "s1": fit(3)}), entry("frozen/a", fits)]
    found = selection_losses(places, DESCRIBED, TARGETS, "locked", "log_loss")
    assert list(found) == ["all"] and list(found["all"]) == ["concat", "gate"]
    probabilities = [temperature.apply(each["held"], "logit", 1.5) for each in fits.values()]
    losses = [-np.log(each[np.arange(10), TARGETS[:10]]) for each in probabilities]
    np.testing.assert_allclose(found["all"]["gate"], np.mean(losses, axis=0))


def test_the_mean_of_a_candidates_losses_is_what_it_was_chosen_by() -> None:
    made = fit(4)
    found = selection_losses([entry("gate", {"f0": made})], DESCRIBED, TARGETS, "crossfit", "log_loss")
    made.meta["selection"] = float(found["f0"]["gate"].mean())
    assert selected(made, "log_loss", TARGETS) == pytest.approx(found["f0"]["gate"].mean())


def test_each_fold_chooses_on_its_own_rows() -> None:
    places = [entry(name, {"f0": fit(0), "f1": fit(1, range(10, 25))}) for name in ("gate", "concat")]
    found = selection_losses(places, DESCRIBED, TARGETS, "crossfit", "log_loss")
    assert {run: len(losses["gate"]) for run, losses in found.items()} == {"f0": 10, "f1": 15}


def test_failures_and_other_rows_are_left_out() -> None:
    odd = entry("gate", {"s0": fit(0, range(5, 15))})
    places = [entry("concat", {"s0": fit(1)}), entry("soup", {"s0": fit(2)}), odd]
    described = DESCRIBED | {"soup": {"role": "candidate"}}
    assert list(selection_losses(places, described, TARGETS, "locked", "log_loss")["all"]) == ["concat", "soup"]
    failed = entry("gate", {"s0": Artifact({"failed": "diverged"}, {})})
    assert selection_losses([failed], DESCRIBED, TARGETS, "locked", "log_loss") == {}


@pytest.mark.parametrize("metric", ["macro_f1", "ece", "worst_class"])
def test_metrics_that_are_no_mean_over_items_tell_nothing(metric: str) -> None:
    assert selection_losses([entry("gate", {"s0": fit(0)})], DESCRIBED, TARGETS, "locked", metric) == {}
