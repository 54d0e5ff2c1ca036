"""The training curve is the mean over runs at common epochs, a run that stopped counting with its last value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation.full_case import full_case
from transfuse.evaluation.case import Case
from transfuse.evaluation.questions.training_curve import MOST_POINTS, ask
from transfuse.types import Observation


def case(curves: dict[str, list[float]]) -> Case:
    seen = [
        Observation("concat", run, "epoch_loss", value, 100, 100 * epoch, 1e6 * epoch + 5e5)
        for run, values in curves.items()
        for epoch, value in enumerate(values, start=1)
    ]
    return replace(full_case(1, 60), observations=tuple(seen))


def test_values_are_means_over_runs_and_stopped_runs_keep_their_last() -> None:
    (row,) = ask(case({"s0": [1.0, 0.5], "s1": [2.0, 1.5, 0.9]}))
    assert row.provenance["values"] == [1.5, 1.0, pytest.approx((0.5 + 0.9) / 2)]
    assert row.provenance["items"] == [100.0, 200.0, 300.0]
    assert row.provenance["flops"] == [1.5e6, 2.5e6, 3.5e6]
    assert row.value == pytest.approx((0.5 + 0.9) / 2)
    assert (row.unit, row.direction, row.split) == ("nats", "lower", "selection")


def test_the_order_of_observations_does_not_matter() -> None:
    made = case({"s0": [1.0, 0.5, 0.2], "s1": [2.0, 1.5, 0.9]})
    turned = replace(made, observations=made.observations[::-1])
    assert ask(made) == ask(turned)


def test_a_long_curve_keeps_its_ends_and_is_bounded() -> None:
    (row,) = ask(case({"s0": [1.0 / epoch for epoch in range(1, 2001)]}))
    items = row.provenance["items"]
    assert len(items) <= MOST_POINTS
    assert (items[0], items[-1]) == (100.0, 200_000.0)
    assert items == sorted(set(items))


def test_nothing_is_asked_where_nothing_was_seen() -> None:
    assert ask(replace(full_case(1, 60), observations=())) == []
