"""Structure in a run: parts of sources, adapters and the user's own network, planned, trained and judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from transfuse.plan.recipe import validated
from transfuse.run.run import Outcome, Request, run
from transfuse.store import Store

FACTORY = '''
from torch import nn


def small():
    """A little network that has learned nothing."""
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
'''
BRIEF = {"regime": "frozen", "epochs": 1, "rates": [0.01]}
CANDIDATES = {
    "stitched": {"fuse": "structure/stitch", "of": ["residual", "depthwise"], "steps": 2, "train": BRIEF},
    "adapted": {"fuse": "structure/lora", "of": ["residual", "depthwise"], "train": BRIEF},
    "into": {"fuse": "structure/lateral", "of": ["residual", "depthwise"], "into": "recipient", "train": BRIEF},
    "grafted": {"fuse": "structure/graft", "of": ["residual"], "into": "recipient", "train": BRIEF},
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    folder = tmp_path_factory.mktemp("structure")
    (folder / "structure_run_factory.py").write_text(FACTORY)
    recipe = {
        "sources": {name: {"spec": f"demo:{name}", "seen": "none"} for name in ("residual", "depthwise")},
        "recipient": "structure_run_factory:small",
        "data": {"read": "sklearn:digits", "splits": {"per_class": 3, "val": 30, "test": 40}, "canvas": 16},
        "candidates": CANDIDATES,
        "train": {"frozen": {"epochs": 1, "rates": [0.01], "least_steps": 1}},
        "judge": {"test": "all"},
        "seeds": 1,
        "run": {"store": str(folder / "store")},
    }
    return run(Request(validated(recipe, where="test"), folder, folder / "out"))


def test_every_arm_is_judged_and_the_recipient_stands_alone_beside_them(outcome):
    judged = {arm["name"]: arm for arm in outcome.evidence["arms"]}
    assert set(CANDIDATES) | {"recipient"} <= set(judged)
    assert judged["recipient"]["role"] == "baseline"
    assert judged["recipient"]["members"] == []
    assert [entry for entry in outcome.evidence["not_measured"] if "fail" in entry["why"]] == []


def test_what_is_trained_and_what_it_costs_is_counted(outcome):
    cost = {arm["name"]: arm["cost"] for arm in outcome.evidence["arms"]}
    own = 6 * 3 * 9 + 6 + 8 * 6 * 9 + 8
    assert cost["recipient"]["trainable_parameters"] == own + 8 * 10 + 10
    assert cost["into"]["trainable_parameters"] > cost["recipient"]["trainable_parameters"]
    # Merged additions cost nothing when the network answers.
    both = sum(cost[f"frozen/{name}"]["inference_flops"] for name in ("residual", "depthwise"))
    assert abs(cost["adapted"]["inference_flops"] / both - 1) < 0.01


def test_features_that_only_matching_needs_are_not_read_on_judged_rows(outcome):
    out = Path(outcome.folder.path)
    text = out.joinpath("journal.jsonl").read_text()
    assert "extract depthwise.vector test unpooled" not in text
    assert "extract depthwise.vector pool unpooled" in text or "extract depthwise.vector s0 unpooled" in text


def test_a_second_run_computes_nothing(outcome, tmp_path):
    recipe = outcome.folder.path / "recipe.lock.yaml"
    assert Store(outcome.folder.path.parent / "store").root.is_dir()
    assert "factory:structure_run_factory:small" in recipe.read_text()
    scores = list((outcome.folder.path / "predictions").rglob("clean.safetensors"))
    assert len(scores) >= len(CANDIDATES)
    assert np.isfinite(outcome.evidence["evidence"][0].get("value", 0.0))


def test_the_forecast_knows_what_costs_more_to_train(outcome):
    """One epoch of the same rows each: what differs is the arithmetic, which is counted before anything is trained."""
    lines = Path(outcome.folder.path).joinpath("journal.jsonl").read_text().splitlines()
    (told,) = (event["steps"] for event in map(json.loads, lines) if event["event"] == "forecast")
    flops = {arm["name"]: arm["cost"]["train_flops"] for arm in outcome.evidence["arms"]}
    assert flops["recipient"] < flops["into"]
    assert told["fit frozen/residual s0"] < told["fit recipient s0"] < told["fit into s0"]
