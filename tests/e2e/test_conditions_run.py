"""Runs that ask about corrupted inputs, items of another kind and retention: the judge gets all of it, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from e2e.house import evidence, executed
from transfuse.errors import UserError
from transfuse.evaluation.case import Case
from transfuse.plan.recipe import parse
from transfuse.run.run import Outcome, Request, run
from transfuse.steps import evaluate

RECIPE = """
sources:
  residual: {spec: "demo:residual", seen: none}
  depthwise: {spec: "demo:depthwise", seen: none}
data:
  read: "sklearn:digits"
  splits: {per_class: 4, val: 40, test: 60}
  canvas: 14
  extra: {"ood:noise": {read: "npz:noise.npz", take: 30}, "own:residual": {read: own/}}
candidates: {whole: {fuse: features/concat, train: {regime: full, epochs: 1, rates: [0.01]}}}
train: {frozen: {epochs: 2, rates: [0.001], least_steps: 1}}
seeds: 1
judge: {conditions: {gaussian_noise: [1, 5], jpeg: 3}}
run: {store: store}
"""
CROSSFIT = """
sources: {residual: {spec: "demo:residual", seen: none}}
repeats: 2
data: {read: "npz:small.npz", canvas: 14, extra: {"ood:noise": {read: "npz:noise.npz", take: 12}}}
candidates: [features/concat]
train: {frozen: {epochs: 2, rates: [0.01], least_steps: 1}}
judge: {conditions: {brightness: 5}}
run: {store: store}
"""
CONDITIONS = {"gaussian_noise@1", "gaussian_noise@5", "jpeg@3"}


def prepared(folder: Path) -> Path:
    """A folder with the sets of items that the recipes name."""
    rng = np.random.default_rng(0)
    noise = (rng.random((40, 28, 28)) * 255).astype(np.uint8)
    np.savez(folder / "noise.npz", images=noise, labels=np.zeros(40, dtype=np.int64))
    labels = np.arange(60) % 2
    squares = np.zeros((60, 28, 28), dtype=np.uint8)
    squares[labels == 0, 4:12, 4:12] = 200
    squares[labels == 1, 14:26, 14:26] = 200
    np.savez(folder / "small.npz", images=squares + (noise[rng.integers(40, size=60)] // 5), labels=labels)
    for number in range(6):
        target = folder / "own" / ("Trouser" if number % 2 else "Bag")
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise[number]).save(target / f"{number}.png")
    return folder


def carried_out(folder: Path, text: str) -> tuple[Outcome, Case]:
    """The run, and the case that its judge was given."""
    seen: list[Case] = []
    judge: Any = evaluate.judge
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "judge", lambda case: (seen.append(case), judge(case))[1])
        outcome = run(Request(parse(text, where="test"), folder, folder / "runs" / "small"))
    return outcome, seen[-1]


@pytest.fixture(scope="module")
def locked(tmp_path_factory) -> tuple[Path, Outcome, Case]:
    folder = prepared(tmp_path_factory.mktemp("locked"))
    return folder, *carried_out(folder, RECIPE)


@pytest.fixture(scope="module")
def crossfitted(tmp_path_factory) -> tuple[Outcome, Case]:
    return carried_out(prepared(tmp_path_factory.mktemp("crossfit")), CROSSFIT)


def test_the_judge_sees_the_chosen_arms_under_every_condition(locked):
    _, _, case = locked
    assert set(case.conditions) == CONDITIONS
    for tables in case.conditions.values():
        assert set(tables) == {case.winner, case.best_single, "ensemble"}
        assert all(table.items.ids == case.items.ids and table.runs == ("s0",) for table in tables.values())


def test_spoilt_inputs_move_answers_and_more_so_at_a_higher_level(locked):
    _, _, case = locked
    for arm in (case.winner, case.best_single):
        clean = case.tables[arm].probs
        mild, strong = (
            np.abs(case.conditions[f"gaussian_noise@{level}"][arm].probs - clean).mean() for level in (1, 5)
        )
        assert 0 < mild < strong


def test_the_judge_sees_items_of_another_kind_and_their_targets_mean_nothing(locked):
    _, _, case = locked
    tables = case.outside["ood:noise"]
    assert set(tables) == {case.winner, case.best_single, "ensemble"}
    assert {len(table.items) for table in tables.values()} == {30}
    assert not np.any(tables[case.winner].items.targets)


def test_the_ensemble_under_a_condition_is_not_the_clean_one(locked):
    _, _, case = locked
    spoilt, clean = case.conditions["jpeg@3"]["ensemble"].probs, case.tables["ensemble"].probs
    assert spoilt.shape == clean.shape and not np.array_equal(spoilt, clean)


def test_a_trained_fusion_has_moved_its_sources_heads_and_a_frozen_single_has_not(locked):
    _, _, case = locked
    seen = {(one.arm, one.quantity): one.value for one in case.observations}
    assert seen["whole", "retention_kl:residual"] > 0 and seen["whole", "retention_kl:depthwise"] > 0
    best = case.arm(case.best_single).members[0]
    assert seen[case.best_single, f"retention_kl:{best}"] == 0.0
    accuracies = [seen["whole", f"own_accuracy_{when}:residual"] for when in ("before", "after")]
    assert all(0 <= value <= 1 for value in accuracies)
    assert ("whole", "own_accuracy_before:depthwise") not in seen


def test_predictions_are_delivered_by_split_and_condition(locked):
    folder, _, case = locked
    there = folder / "runs" / "small" / "predictions"
    for arm in (case.winner, case.best_single, "ensemble"):
        place = there / arm.replace("/", ".") / "s0"
        assert {path.stem for path in (place / "test").iterdir()} == CONDITIONS | {"clean"}
        assert load_file(place / "ood.noise" / "clean.safetensors")["scores"].shape == (30, 10)
    assert {path.name for path in there.glob("*.json")} == {"test.items.json", "ood.noise.items.json"}
    assert [path.stem for path in (there / "copies").rglob("*.safetensors")] in ([], ["clean"])


def test_nothing_asked_is_listed_as_not_measured(locked):
    _, outcome, _ = locked
    listed = {entry["what"] for entry in outcome.evidence["not_measured"]}
    assert not {"conditions", "items of another kind", "the sources' own tasks"} & listed


def test_running_again_computes_nothing(locked):
    folder, first, _ = locked
    again = run(Request(parse(RECIPE, where="test"), folder, folder / "runs" / "small"))
    assert again.executed == 0 and again.evidence == first.evidence


def test_another_level_computes_only_what_looks_at_it(locked):
    folder, _, _ = locked
    run(Request(parse(RECIPE.replace("jpeg: 3", "jpeg: 4"), where="test"), folder, folder / "runs" / "other"))
    done = executed(folder / "runs" / "other")
    assert {step for step in done if not step.endswith("jpeg@4")} == {"evaluate"}
    assert any(step.startswith("extract") for step in done)


@pytest.mark.exhaustive
def test_two_workers_and_another_hash_seed_give_the_same_bytes(locked, tmp_path, monkeypatch):
    folder, _, _ = locked
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    out = tmp_path / "runs" / "small"
    run(Request(parse(RECIPE, where="test"), prepared(tmp_path), out, workers=2))
    one, other = folder / "runs" / "small", out
    files = {path.relative_to(one) for path in (one / "predictions").rglob("*") if path.is_file()}
    assert len(files) > 15
    for path in sorted(files):
        assert (one / path).read_bytes() == (other / path).read_bytes(), path
    kept, made = evidence(one), evidence(other)
    assert kept["evidence"] == made["evidence"] and kept["verdict"] == made["verdict"]


def test_under_cross_fitting_inside_and_outside_items_meet_the_same_folds(crossfitted):
    _, case = crossfitted
    inside, outside = case.tables[case.winner], case.outside["ood:noise"][case.winner]
    spoilt = case.conditions["brightness@5"][case.winner]
    assert inside.runs == outside.runs == spoilt.runs == ("r0", "r1")
    assert outside.folds is not None and set(outside.folds.ravel()) == set(range(5))
    assert len(spoilt.items) == 60 and len(outside.items) == 12
    assert np.isfinite(spoilt.probs).all() and not np.array_equal(spoilt.probs, inside.probs)


def test_when_time_is_up_what_was_not_asked_is_told_with_the_reason(tmp_path):
    recipe = parse(CROSSFIT + "budget: {train: 1 ms}", where="test")
    found = run(Request(recipe, prepared(tmp_path), tmp_path / "out")).evidence["not_measured"]
    late = {entry["what"] for entry in found if "budget" in entry["why"]}
    assert {"brightness@5", "ood:noise"} <= late
    assert "conditions" not in {entry["what"] for entry in found}


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("jpeg", "jpg", "did you mean 'jpeg'"),
        ("own:residual", "pol", "ood:NAME"),
        ("own:residual", "own:resdual", "try: residual"),
    ],
)
def test_wrong_names_are_one_clean_message_before_any_step(locked, right, wrong, told):
    folder, _, _ = locked
    out = folder / "runs" / "wrong"
    with pytest.raises(UserError, match=told):
        run(Request(parse(RECIPE.replace(right, wrong), where="test"), folder, out))
    assert executed(out) == []
