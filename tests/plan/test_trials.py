"""Searched settings: the same budget for every arm, checked before any work; nothing moves where none is asked for."""

from __future__ import annotations

import pytest

from plan.example_plan import plan, setting
from transfuse.errors import MissingExtraError, UserError
from transfuse.plan import search_entry
from transfuse.plan.recipe import validated

CANDIDATES = {"c": {"fuse": "features/concat"}, "m": {"fuse": "weights/mean", "weights": "search"}}


def steps(**search):
    return plan(setting(ladder="full", candidates=CANDIDATES, **({"search": search} if search else {}))).steps


def test_every_arm_that_is_trained_tries_as_often_and_merges_too():
    found = steps(trials=7, space={"rate": [1e-4, 1e-2], "member_rate": [0.01, 0.5]})
    trained = [step for step in found.values() if step.kind == "train"]
    assert {step.params["schedule"]["trials"] for step in trained} == {7}
    assert {step.params["merge"]["tries"] for step in found.values() if step.kind == "merge" and step.arm == "m"} == {7}
    regimes = {step.params["schedule"]["regime"]: step.params["schedule"]["space"] for step in trained}
    assert [name for name, _, _ in regimes["full"]] == ["rate", "member_rate"]
    assert [name for name, _, _ in regimes["frozen"]] == ["rate"]


def test_without_trials_no_key_moves():
    plain, asked = steps(), steps(finalists=3)
    assert all("trials" not in step.params.get("schedule", {}) for step in plain.values() if step.kind == "train")
    assert {name: step.params for name, step in plain.items()} == {name: step.params for name, step in asked.items()}


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"trials": -1}, "greater than or equal to 0"),
        ({"space": {"epochs": [1, 3]}}, "'epochs' is not searched for; what is: rate, weight_decay"),
        ({"space": {"rate": [0.1, 0.01]}}, "two rising numbers"),
        ({"space": {"rate": [0, 0.1]}}, "above 0"),
        ({"space": {"smoothing": [0, 2]}}, "from 0 to 0.9"),
        ({"space": {}}, "nothing to search for"),
        ({"trails": 3}, "did you mean 'trials'"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(search, told):
    with pytest.raises(UserError, match=told):
        validated({"sources": ["demo:vgg"], "data": "x", "search": search}, where="here")


def test_without_what_searches_nothing_begins(monkeypatch):
    monkeypatch.setattr(search_entry, "find_spec", lambda name: None)
    search_entry.check_search(search_entry.Search())
    with pytest.raises(MissingExtraError, match=r"transfuse\[tune\]"):
        search_entry.check_search(search_entry.Search(trials=2))
