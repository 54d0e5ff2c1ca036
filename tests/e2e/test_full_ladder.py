"""The full ladder on tiny networks: every rung is judged or told with its reason; again computes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from transfuse.evaluation.case import Case
from transfuse.plan import stitches
from transfuse.plan.recipe import validated
from transfuse.registry import Entry, method
from transfuse.run.run import Outcome, Request, run
from transfuse.steps import evaluate
from transfuse.store import Store

SOURCES = {"residual": "demo:residual", "depthwise": "demo:depthwise", "twin": "demo:residual@random?seed=1"}
RECIPE: dict[str, Any] = {
    "sources": {name: {"spec": spec, "seen": "none"} for name, spec in SOURCES.items()},
    "alternative": {"spec": "demo:residual@random?seed=3", "seen": "none"},
    "data": {"read": "sklearn:digits", "splits": {"per_class": 4, "val": 40, "test": 60}, "canvas": 14},
    "candidates": {"concat": {"fuse": "features/concat"}},
    "ladder": "full",
    "sizes": [0.5, 1.0],
    "judge": {"target": 1.5, "guards": {"worst_class": 0.1}, "stitching": [["residual", "twin"]]},
    "train": {
        "frozen": {"epochs": 2, "rates": [0.01]},
        "full": {"epochs": 1, "rates": [0.001], "batch": 64},
    },
    "seeds": 2,
}


def briefly(name: str) -> Entry:
    """The method with a tenth of its steps: what a stitched pair loses is looked up, not judged."""
    whole = method(name)
    steps = replace(whole.parameters["steps"], default=20)
    return replace(whole, parameters={**whole.parameters, "steps": steps})


class Spy:
    """Keeps the cases that are judged."""

    def __init__(self, judge: Any) -> None:
        self.judge = judge
        self.cases: list[Case] = []

    def __call__(self, case: Case) -> Any:
        self.cases.append(case)
        return self.judge(case)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: Any) -> Iterator[tuple[Outcome, Case, Request]]:
    folder = tmp_path_factory.mktemp("full")
    recipe = validated({**RECIPE, "run": {"store": str(folder / "store")}}, where="test")
    request = Request(recipe, folder, folder / "out")
    with pytest.MonkeyPatch.context() as patch:
        spy = Spy(evaluate.judge)
        patch.setattr(evaluate, "judge", spy)
        patch.setattr(stitches, "method", briefly)
        yield run(request), spy.cases[-1], request


def test_every_rung_is_judged_or_told_with_its_reason(ran: tuple[Outcome, Case, Request]) -> None:
    evidence = ran[0].evidence
    rungs = {"prior", "ensemble", "soup", "alternative", "tuned/alternative", "copies", "scratch"}
    rungs |= {
        "compute_matched",
        "parameter_matched",
        *(f"{kind}/{name}" for kind in ("random", "without") for name in SOURCES),
    }
    told = {entry["what"]: entry["why"] for entry in evidence["not_measured"]}
    assert rungs <= {arm["name"] for arm in evidence["arms"]} | set(told)
    assert {"soup", "alternative", "without/twin", "compute_matched"} <= {arm["name"] for arm in evidence["arms"]}


def test_the_soup_is_of_the_sources_of_one_architecture(ran: tuple[Outcome, Case, Request]) -> None:
    (soup,) = [arm for arm in ran[1].arms if arm.name == "soup"]
    assert (soup.members, soup.role, soup.form) == (("residual", "twin"), "baseline", "soup")


def test_the_alternative_is_no_member_of_anything_else(ran: tuple[Outcome, Case, Request]) -> None:
    holding = [arm.name for arm in ran[1].arms if "alternative" in arm.members]
    assert set(holding) == {"alternative", "tuned/alternative"}


def test_controls_are_trained_as_the_winner_was(ran: tuple[Outcome, Case, Request]) -> None:
    case = ran[1]
    regime = case.arm(case.winner).train
    assert {case.arm(name).train for name in ("copies", "random/residual", "without/residual")} == {regime}


def test_compute_matched_spends_what_the_winner_spent_unless_it_says_why_not(
    ran: tuple[Outcome, Case, Request],
) -> None:
    case = ran[1]
    matched, winner = case.arm("compute_matched"), case.arm(case.winner)
    assert any("epochs" in note for note in matched.notes)
    if not any("spends" in note for note in matched.notes):
        assert matched.cost.train_flops >= winner.cost.train_flops


def test_parameter_matched_has_as_many_parameters_as_the_winner(ran: tuple[Outcome, Case, Request]) -> None:
    case = ran[1]
    if "parameter_matched" in case.tables:
        assert case.arm("parameter_matched").cost.parameters >= case.arm(case.winner).cost.parameters


def test_an_ensemble_costs_the_training_of_its_members(ran: tuple[Outcome, Case, Request]) -> None:
    case = ran[1]
    singles = sum(case.arm(f"frozen/{name}").cost.train_flops for name in SOURCES)
    assert case.arm("ensemble").cost.train_flops == pytest.approx(singles)


def test_the_case_holds_what_was_fixed_and_seen_beforehand(ran: tuple[Outcome, Case, Request]) -> None:
    case = ran[1]
    assert (case.target, dict(case.guards)) == (1.5, {"worst_class": 0.1})
    assert set(case.features.blocks) == set(SOURCES)
    assert not set(case.features.items.ids) & set(case.items.ids)
    assert set(case.features.folds.tolist()) <= set(range(5))


def test_a_named_pair_is_stitched_and_what_it_loses_stands_beside_similarity(
    ran: tuple[Outcome, Case, Request],
) -> None:
    (row,) = [row for row in ran[0].evidence["evidence"] if row["quantity"] == "stitching_loss"]
    assert (row["arm"], row["versus"], row["split"], row["n"]) == ("residual", "twin", "selection", 20)
    known = row["provenance"]["accuracy"]
    assert row["value"] == pytest.approx(min(known["first"], known["second"]) - known["stitched"])
    assert row["provenance"]["unmatched"]["penultimate"] <= row["provenance"]["unmatched"]["cut"]
    told = (ran[0].folder.path / "report.md").read_text(encoding="utf-8")
    assert "Two sources stitched" in told


def test_own_heads_answers_are_in_the_record_of_the_scores(ran: tuple[Outcome, Case, Request]) -> None:
    assert set(ran[1].features.answers) == set(SOURCES)
    taus = {row["arm"] for row in ran[0].evidence["evidence"] if row["quantity"] == "score_tau"}
    assert {"leep", "nce", "logme", "probe"} <= taus


def test_learning_is_seen_at_every_size_and_after_every_epoch(ran: tuple[Outcome, Case, Request]) -> None:
    case = ran[1]
    sizes: dict[tuple[str, str], list[int]] = {}
    for seen in case.observations:
        if seen.quantity == "selection_loss":
            sizes.setdefault((seen.arm, seen.run), []).append(seen.rows)
    assert {run for _, run in sizes} == {"s0", "s1"}
    assert {arm for arm, _ in sizes} >= {"concat", "scratch"}
    assert all(rows == [20, 40] for rows in sizes.values())
    curve = [
        seen for seen in case.observations if (seen.quantity, seen.arm, seen.run) == ("epoch_loss", "scratch", "s0")
    ]
    assert [seen.items for seen in curve] == [40 * (number + 1) for number in range(len(curve))]
    assert all(seen.flops == seen.warm_flops for seen in curve)
    frozen = [seen for seen in case.observations if (seen.quantity, seen.arm) == ("epoch_loss", "frozen/residual")]
    assert all(seen.flops > seen.warm_flops > 0 for seen in frozen)


def test_the_last_size_is_the_arm_itself(ran: tuple[Outcome, Case, Request]) -> None:
    case = ran[1]
    full = [
        seen.value
        for seen in case.observations
        if (seen.quantity, seen.arm, seen.rows) == ("selection_loss", "scratch", 40)
    ]
    assert sum(full) / len(full) == pytest.approx(case.selection["scratch"])


def test_running_again_computes_nothing(ran: tuple[Outcome, Case, Request]) -> None:
    before = (ran[0].folder.path / "evidence.json").read_bytes()
    again = run(ran[2])
    assert again.executed == 0
    assert (again.folder.path / "evidence.json").read_bytes() == before


def test_what_loses_a_source_of_two_is_that_other_sources_arm_and_trains_nothing(tmp_path: Any) -> None:
    two = {name: RECIPE["sources"][name] for name in ("residual", "depthwise")}
    recipe = validated(
        {
            **RECIPE,
            "sources": two,
            "alternative": None,
            "ladder": "quick",
            "sizes": "auto",
            "judge": {},
            "run": {"store": str(tmp_path / "store")},
        },
        where="test",
    )
    outcome = run(Request(recipe, tmp_path, tmp_path / "out"))
    lines = (tmp_path / "out" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    done = [event["step"] for event in map(json.loads, lines) if event["event"] == "step_done"]
    assert not [step for step in done if "without" in step]
    values = {
        (row["arm"], row["quantity"]): row.get("value") for row in outcome.evidence["evidence"] if not row["versus"]
    }
    assert values["without/residual", "log_loss"] == values["frozen/depthwise", "log_loss"]
    assert Store(tmp_path / "store")
