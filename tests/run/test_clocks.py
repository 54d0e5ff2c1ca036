"""Seconds to a target are items to it times the pace of that very training, and never evidence."""

from __future__ import annotations

from typing import Any

import pytest

from transfuse.run.clocks import seconds_to_target
from transfuse.store import Artifact


def record(arm: str, by_run: dict[str, float | None] | None) -> dict[str, Any]:
    return {"arm": arm, "quantity": "time_to_target_items", "provenance": {} if by_run is None else {"by_run": by_run}}


def fit(seconds: float | None) -> Artifact:
    return Artifact({} if seconds is None else {"seconds_per_item": seconds}, {})


FITS = {
    "fit|best_fusion|concat|s0": fit(0.5),
    "fit|best_fusion|concat|s1": fit(0.25),
    "fit|scratch|scratch@concat|s0": fit(2.0),
    "fit|prior|prior|s0": fit(None),
    "items": Artifact([], {}),
}


def rows(*records: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["arm"]: row for row in seconds_to_target({"evidence": list(records)}, FITS)}


def test_each_run_has_its_own_pace():
    row = rows(record("concat", {"s0": 100.0, "s1": 200.0}))["concat"]
    assert row["value"] == pytest.approx((50 + 50) / 2) and row["n"] == 2
    assert (row["unit"], row["direction"], row["reproducible"]) == ("s", "lower", False)


def test_runs_that_did_not_arrive_are_counted_and_told():
    row = rows(record("concat", {"s0": 100.0, "s1": None}))["concat"]
    assert row["value"] == pytest.approx(50) and row["n"] == 1 and "1 did not" in row["method"]


def test_an_arm_that_never_arrives_or_was_not_timed_is_undefined():
    found = rows(record("concat", {"s0": None, "s1": None}), record("prior", {"s0": 10.0}))
    assert all("undefined" in row and "value" not in row for row in found.values()) and len(found) == 2


def test_arms_that_share_a_name_go_by_it_and_rows_without_a_target_are_left_out():
    found = rows(record("scratch", {"s0": 3.0}), record("gate", None))
    assert found["scratch"]["value"] == pytest.approx(6.0) and set(found) == {"scratch"}
