"""`candidates: auto` from a recipe to a recommendation: searched within its budget, finalists trained, told with what
choosing flattered; and one message where nothing fits."""

from __future__ import annotations

import pytest

from transfuse.errors import UserError
from transfuse.plan.recipe import validated
from transfuse.run.run import Outcome, Request, run

RECIPE = {
    "sources": {name: {"spec": f"demo:{name}", "seen": "none"} for name in ("residual", "depthwise")},
    "data": {"read": "sklearn:digits", "splits": {"per_class": 8, "val": 60, "test": 80}, "canvas": 16},
    "candidates": "auto",
    "search": {"finalists": 2, "trials": 2, "space": {"rate": [1e-3, 1e-1]}},
    "train": {"frozen": {"epochs": 2}},
    "ladder": "quick",
    "seeds": 1,
}


def request(folder, **changes) -> Request:
    recipe = {**RECIPE, "run": {"store": str(folder / "store")}, **changes}
    return Request(validated(recipe, where="test"), folder, folder / "out")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def outcome(folder) -> Outcome:
    return run(request(folder))


def test_a_budget_nothing_fits_into_says_what_the_cheapest_would_need(folder):
    with pytest.raises(UserError, match=r"no fusion fits into the budget; the cheapest, .*, needs .* FLOPs") as caught:
        run(request(folder, budget={"flops": 10.0}))
    assert "raise the budget" in str(caught.value)


def test_finalists_are_trained_and_judged_beside_the_ladder(outcome):
    (choice,) = [each for each in outcome.evidence["setup"]["choices"] if each["choice"] == "search"]
    finalists = choice["chosen"].split(", ")
    assert len(finalists) == 2 and len(choice["scores"]) > 10
    names = {arm["name"] for arm in outcome.evidence["arms"]}
    assert set(finalists) & names and {"ensemble", "frozen/residual"} <= names


def test_what_choosing_flattered_stands_beside_the_verdict(outcome):
    rows = {row["quantity"]: row for row in outcome.evidence["evidence"] if row["arm"].startswith("search")}
    assert rows["search_optimism"]["provenance"]["searched"] > 20
    assert rows["search_gain"]["low"] <= rows["search_gain"]["value"] <= rows["search_gain"]["high"]


def test_every_trained_arm_says_how_its_settings_were_searched_for(outcome):
    trained = {arm["name"] for arm in outcome.evidence["arms"] if arm["train"] == "frozen"}
    rows = [row for row in outcome.evidence["evidence"] if row["quantity"] == "train_flops" and row["arm"] in trained]
    assert len(rows) >= 2
    assert all("searched for in 2 trials" in str(row["provenance"].get("notes")) for row in rows)


def test_again_it_computes_nothing(folder, outcome):
    again = run(request(folder))
    assert again.executed == 0 and again.evidence == outcome.evidence
