"""Compressed arms in a run: fitted on training rows, judged against what they were made of, counted, shipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import transfuse
from transfuse.doors.exporting import exported_model
from transfuse.doors.predicting import predict
from transfuse.errors import UserError
from transfuse.files.graphs import opened_graph
from transfuse.plan.recipe import validated
from transfuse.run.run import Outcome, Request, run
from transfuse.store import Store

RECIPE = {
    "sources": {
        "residual": {"spec": "demo:residual", "seen": "none"},
        "depthwise": {"spec": "demo:depthwise", "seen": "none"},
    },
    "data": {"read": "sklearn:digits", "splits": {"per_class": 4, "val": 40, "test": 60}, "canvas": 12},
    "candidates": {
        "gate": {"fuse": "features/gate"},
        "int8": {"compress": "quantise", "of": "gate"},
        "pruned": {"compress": "prune", "of": "gate", "by": "taylor", "then": {"train": "full", "epochs": 1}},
        "thin": {"compress": "prune", "of": "tuned/depthwise", "ratio": 0.25},
    },
    "train": {"frozen": {"epochs": 20, "rates": [0.01]}, "full": {"epochs": 1, "rates": [0.003]}},
    "ladder": "quick",
    "judge": {"test": "all"},
    "seeds": 1,
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("compress")
    return run(_request(folder, "out"))


def _request(folder: Path, out: str) -> Request:
    # Without a margin the fusion ships, and of its forms the one of fewest bytes that holds.
    recipe = {**RECIPE, "run": {"store": str(folder / "store")}}
    return Request(validated(recipe, where="test"), folder, folder / out)


def test_compressed_arms_stand_beside_what_they_were_made_of(outcome):
    arms = {arm["name"]: arm for arm in outcome.evidence["arms"]}
    assert {name: (arms[name]["role"], arms[name]["method"], arms[name]["members"]) for name in ("int8", "thin")} == {
        "int8": ("candidate", "compress/quantise", ["gate"]),
        "thin": ("baseline", "compress/prune", ["tuned/depthwise"]),
    }
    assert arms["tuned/depthwise"]["role"] == "baseline" and arms["pruned+tuned"]["members"] == ["pruned"]
    pairs = {(claim["arm"], claim["versus"]) for claim in outcome.evidence["verdict"]["claims"]}
    wanted = {("int8", "gate"), ("pruned", "gate"), ("pruned+tuned", "pruned"), ("pruned+tuned", "gate")}
    assert wanted | {("thin", "tuned/depthwise")} <= pairs


def test_their_cost_is_counted_and_holds_what_they_were_made_of(outcome):
    arms = {arm["name"]: arm["cost"] for arm in outcome.evidence["arms"] if arm["cost"]}
    assert arms["int8"]["inference_flops"] == arms["gate"]["inference_flops"]
    assert arms["int8"]["stored_bytes"] < 0.5 * arms["gate"]["stored_bytes"] == 2 * arms["gate"]["parameters"]
    assert arms["pruned"]["inference_flops"] < 0.5 * arms["gate"]["inference_flops"]
    assert arms["pruned+tuned"]["parameters"] == arms["pruned"]["parameters"] < arms["gate"]["parameters"]
    assert arms["gate"]["train_flops"] < arms["pruned"]["train_flops"] < arms["pruned+tuned"]["train_flops"]


def test_no_row_that_chooses_or_judges_is_shown_to_a_compression(outcome, tmp_path):
    store = Store(outcome.folder.path.parent / "store")
    fits = [json.loads(line) for line in outcome.folder.journal.read_text().splitlines()]
    key = next(line["key"] for line in fits if line["event"] == "step_done" and line["step"] == "fit int8 s0")
    fit = store.need(key)
    assert fit.meta["told"]["rows"] == 40 and fit.meta["made_of"]["params"]["most"] == 256


def test_what_ships_in_int8_answers_alike_everywhere(outcome, tmp_path):
    assert outcome.evidence["verdict"]["recommendation"]["arm"] == "int8"
    (folder,) = (outcome.folder.path / "models").iterdir()
    model = transfuse.load(folder)
    images = torch.rand(3, 3, 12, 12)
    path = exported_model(folder, "onnx", tmp_path / "int8.onnx")
    ask, facts = opened_graph(path)
    assert facts.canvas == 12 and len(facts.classes) == 10
    assert np.abs(ask(images.numpy()) - model.probabilities(images).numpy()).max() < 1e-6
    assert str(Path.cwd()).encode() not in path.read_bytes()
    of_graph, of_folder = (predict(each, "sklearn:digits", tmp_path).probabilities for each in (path, folder))
    assert np.abs(of_graph - of_folder).max() < 1e-6
    with pytest.raises(UserError, match="onnx"):
        exported_model(folder, "torch_export", None)


def test_a_second_run_computes_nothing(outcome):
    again = run(_request(outcome.folder.path.parent, "again"))
    assert again.executed == 0 and again.evidence == outcome.evidence
