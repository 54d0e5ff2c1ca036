"""Every kind of arm and regime in one small run: all are fitted and judged, and frozen parts do not move a bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from transfuse import load
from transfuse.plan.recipe import validated
from transfuse.run.run import Outcome, Request, run
from transfuse.source.open import make_card, open_source
from transfuse.store import Store

CANDIDATES = {
    "concat": {"fuse": "features/concat", "of": ["residual", "depthwise"]},
    "shared": {"fuse": "structure/share", "of": ["residual", "depthwise"], "width": 8, "depth": 1},
    "partly": {
        "fuse": "features/concat",
        "of": ["residual", "depthwise"],
        "train": {"regime": "partial", "until": "residual.features.1, depthwise.vector", "epochs": 1, "rates": [0.01]},
    },
    "soup": {"fuse": "weights/mean", "of": ["residual", "twin"], "weights": [1, 3]},
    "pooled": {"fuse": "outputs/mean_prob", "of": ["residual", "concat"]},
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    folder = tmp_path_factory.mktemp("kinds")
    sources = {"residual": "demo:residual", "depthwise": "demo:depthwise", "twin": "demo:residual@random?seed=1"}
    recipe = {
        "sources": {name: {"spec": spec, "seen": "none"} for name, spec in sources.items()},
        "data": {"read": "sklearn:digits", "splits": {"per_class": 4, "val": 40, "test": 60}, "canvas": 14},
        "candidates": CANDIDATES,
        "ladder": "standard",
        "judge": {"test": "all"},
        "train": {"frozen": {"epochs": 2, "rates": [0.01]}, "full": {"epochs": 1, "rates": [0.001]}},
        "seeds": 2,
        "run": {"store": str(folder / "store")},
    }
    return run(Request(validated(recipe, where="test"), folder, folder / "out"))


def steps(outcome: Outcome) -> dict[str, str]:
    lines = (outcome.folder.path / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return {event["step"]: event["key"] for event in found if event["event"] == "step_done"}


def test_every_candidate_and_every_rung_is_judged(outcome):
    arms = {arm["name"]: arm for arm in outcome.evidence["arms"]}
    assert set(CANDIDATES) <= set(arms)
    assert {"prior", "ensemble", "copies", "scratch", "random/residual", "random/depthwise"} <= set(arms)
    assert any(name.startswith("tuned/") for name in arms)
    assert arms["soup"]["method"] == "weights/mean"


def test_several_candidates_on_the_same_rows_are_corrected(outcome):
    rows = [row for row in outcome.evidence["evidence"] if row["versus"] and row["quantity"] == "log_loss"]
    assert any(row["family"] for row in rows)
    assert all(row["adjusted"] >= row["p"] for row in rows if row["adjusted"] is not None)


def test_costs_are_in_order(outcome):
    cost = {arm["name"]: arm["cost"] for arm in outcome.evidence["arms"]}
    single, fused = cost["frozen/residual"], cost["concat"]
    assert single["inference_flops"] < fused["inference_flops"] <= cost["ensemble"]["inference_flops"] * 1.01
    assert single["trainable_parameters"] < single["parameters"]
    assert cost["partly"]["trainable_parameters"] > cost["concat"]["trainable_parameters"]
    assert cost["scratch"]["train_flops"] > cost["prior"]["train_flops"] == 0
    assert cost["soup"]["inference_flops"] == single["inference_flops"]


def test_what_partial_freezes_does_not_move_by_one_bit_and_the_rest_does(outcome):
    store = Store(outcome.folder.path.parent / "store")
    state = store.need(steps(outcome)["fit partly s0"]).arrays
    root = Path()
    moved = {}
    for name in ("residual", "depthwise"):
        source = open_source(make_card(name, f"demo:{name}", root=root, canvas=14), root=root)
        for key, value in source.network.state_dict().items():
            (kept,) = [
                array for full, array in state.items() if full.endswith(f"network.{key}") and f"members.{name}" in full
            ]
            moved[f"{name}.{key}"] = not np.array_equal(kept, value.numpy())
    assert not [key for key, changed in moved.items() if changed and key.startswith("depthwise.features")]
    assert not [
        key
        for key, changed in moved.items()
        if changed and key.startswith(("residual.features.0", "residual.features.1."))
    ]
    assert any(changed for key, changed in moved.items() if key.startswith("residual.features"))


def test_a_random_source_is_told(outcome):
    found = {source["name"]: source["random"] for source in outcome.evidence["setup"]["sources"]}
    assert found == {"residual": False, "depthwise": False, "twin": True}


def test_the_shipped_model_opens_and_answers(outcome):
    study = load(outcome.folder.path)
    model = study.model()
    with torch.no_grad():
        given = model.probabilities(torch.rand(3, 3, 14, 14))
    assert given.shape == (3, 10)
    np.testing.assert_allclose(given.sum(1).numpy(), 1.0, rtol=1e-5)


def test_a_time_limit_ends_with_a_verdict_on_what_is_done_and_running_again_continues(tmp_path):
    recipe = {
        "sources": {name: {"spec": f"demo:{name}", "seen": "none"} for name in ("residual", "depthwise")},
        "data": {"read": "sklearn:digits", "splits": {"per_class": 4, "val": 40, "test": 60}, "canvas": 14},
        "candidates": ["features/concat"],
        "train": {"frozen": {"epochs": 2, "rates": [0.01]}},
        "seeds": 2,
        "run": {"store": str(tmp_path / "store")},
    }
    short = validated(recipe | {"budget": {"train": "1 ms"}}, where="test")
    first = run(Request(short, tmp_path, tmp_path / "out"))
    assert first.evidence["verdict"]["recommendation"]["arm"]
    dropped = [entry["what"] for entry in first.evidence["not_measured"] if "budget" in entry["why"]]
    assert "concat" in dropped
    assert not any(row["reproducible"] for row in first.evidence["evidence"])
    second = run(Request(validated(recipe, where="test"), tmp_path, tmp_path / "out"))
    assert "concat" in {arm["name"] for arm in second.evidence["arms"]}
    assert (tmp_path / "out" / "history").is_dir()
