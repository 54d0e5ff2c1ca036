"""Compressed arms in a run: fitted on training rows, judged against what they were made of, counted, shipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import transfuse
from e2e.house import events
from transfuse.data.canvas import batch
from transfuse.data.open import open_data
from transfuse.doors.exporting import exported_model
from transfuse.doors.predicting import predict
from transfuse.errors import UserError
from transfuse.files.graphs import opened_graph
from transfuse.fusion.saved import save
from transfuse.plan.recipe import validated
from transfuse.run.prepare import prepare
from transfuse.run.run import Outcome, Request, run
from transfuse.steps import Context, table
from transfuse.steps._model import opened
from transfuse.steps.compress import _Shown
from transfuse.steps.count import used_parameters
from transfuse.store import Store

RECIPE = {
    "sources": {
        "vgg": {"spec": "demo:vgg", "seen": "none"},
        "second": {"spec": "demo:vgg@random", "seen": "none"},
    },
    "data": {"read": "sklearn:digits", "splits": {"per_class": 4, "val": 40, "test": 60}, "canvas": 12},
    "candidates": {
        "gate": {"fuse": "features/gate"},
        "int8": {"compress": "quantise", "of": "gate"},
        "pruned": {"compress": "prune", "of": "gate", "by": "taylor", "then": {"train": "full", "epochs": 1}},
        "thin": {"compress": "prune", "of": "tuned/second", "ratio": 0.25},
    },
    "train": {"frozen": {"epochs": 20, "rates": [0.01]}, "full": {"epochs": 1, "rates": [0.003]}},
    "ladder": "quick",
    "judge": {"test": "all"},
    "seeds": 1,
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    folder = tmp_path_factory.mktemp("compress")
    return run(_request(folder, "out"))


def _request(folder: Path, out: str) -> Request:
    recipe = {**RECIPE, "run": {"store": str(folder / "store")}}
    return Request(validated(recipe, where="test"), folder, folder / out)


def test_compressed_arms_stand_beside_what_they_were_made_of(outcome):
    arms = {arm["name"]: arm for arm in outcome.evidence["arms"]}
    assert {name: (arms[name]["role"], arms[name]["method"], arms[name]["members"]) for name in ("int8", "thin")} == {
        "int8": ("candidate", "compress/quantise", ["gate"]),
        "thin": ("baseline", "compress/prune", ["tuned/second"]),
    }
    assert arms["tuned/second"]["role"] == "baseline" and arms["pruned+tuned"]["members"] == ["pruned"]
    pairs = {(claim["arm"], claim["versus"]) for claim in outcome.evidence["verdict"]["claims"]}
    wanted = {("int8", "gate"), ("pruned", "gate"), ("pruned+tuned", "pruned"), ("pruned+tuned", "gate")}
    assert wanted | {("thin", "tuned/second")} <= pairs


def test_their_cost_is_counted_and_holds_what_they_were_made_of(outcome):
    arms = {arm["name"]: arm["cost"] for arm in outcome.evidence["arms"] if arm["cost"]}
    assert arms["int8"]["inference_flops"] == arms["gate"]["inference_flops"]
    assert arms["int8"]["stored_bytes"] < 0.5 * arms["gate"]["stored_bytes"] == 2 * arms["gate"]["parameters"]
    assert arms["pruned"]["inference_flops"] < 0.5 * arms["gate"]["inference_flops"]
    assert arms["pruned+tuned"]["parameters"] == arms["pruned"]["parameters"] < arms["gate"]["parameters"]
    assert arms["gate"]["train_flops"] < arms["pruned"]["train_flops"] < arms["pruned+tuned"]["train_flops"]


def test_what_is_lost_and_what_is_left_is_evidence(outcome):
    rows = {(row["quantity"], row["arm"], row["versus"]): row for row in outcome.evidence["evidence"]}
    arms = {arm["name"]: arm["cost"] for arm in outcome.evidence["arms"] if arm["cost"]}
    for arm, whole in (("int8", "gate"), ("pruned", "gate"), ("pruned+tuned", "gate"), ("thin", "tuned/second")):
        for quantity, count in (("bytes_left", "stored_bytes"), ("flops_left", "inference_flops")):
            assert rows[quantity, arm, whole]["value"] == arms[arm][count] / arms[whole][count]
        assert 0 <= rows["same_answer", arm, whole]["value"] <= 1
    shown = [row for row in outcome.evidence["evidence"] if row["quantity"] == "non_inferior"]
    for row in (row for row in shown if row["provenance"]["metric"] == "log_loss"):
        assert row["value"] == float(row["provenance"]["high"] < row["provenance"]["margin"])
    assert "What compressing takes and leaves" in (outcome.folder.path / "report.md").read_text()


def fit_of(outcome: Outcome, arm: str) -> tuple[str, Store]:
    done = {each["step"]: each["key"] for each in events(outcome.folder.path) if each["event"] == "step_done"}
    return done[f"fit {arm} s0"], Store(outcome.folder.path.parent / "store")


def test_no_row_that_chooses_or_judges_is_shown_to_a_compression(outcome):
    key, store = fit_of(outcome, "int8")
    fit = store.need(key)
    prepared = prepare(_request(outcome.folder.path.parent, "x").recipe, root=outcome.folder.path.parent, store=store)
    rows, items = store.need(prepared.setting.runs[0].key), store.need(prepared.setting.items_key)
    context = Context(store, outcome.folder.path.parent, data="sklearn:digits")
    shown = _Shown({"most": 7, "canvas": 12}, {"items": items}, context, rows["train"])
    apart = np.concatenate([rows[name] for name in rows.arrays if name != "train" and not name.startswith("fit")])
    assert len(shown.chosen) <= 7 and set(shown.chosen) <= set(rows["train"]) - set(apart)
    # Planted: shown the judged rows, the same look finds them.
    peeping = _Shown({"most": 7, "canvas": 12}, {"items": items}, context, rows["judge"])
    assert set(peeping.chosen) & set(apart)
    seen = [(canvas.shape, targets.tolist()) for canvas, targets in shown.rows()]
    assert sum(shape[0] for shape, _ in seen) == len(shown.chosen) == shown.read
    labels = table(items).targets()
    assert [label for _, labels_ in seen for label in labels_] == labels[shown.chosen].tolist()
    assert fit.meta["told"]["rows"] == 40


def shipped(outcome, folder):
    """The int8 fusion opened from the store, and its graph; its folder is `folder / "int8"`."""
    key, store = fit_of(outcome, "int8")
    model = opened(key, Context(store, folder), "int8")
    model.temperature = store.need(key).meta["temperature"]
    save(model, folder / "int8", facts={"canvas": 12, "classes": [str(digit) for digit in range(10)], "arm": "int8"})
    return model, exported_model(folder / "int8", "onnx", folder / "int8.onnx")


def test_int8_answers_alike_from_store_folder_and_graph(outcome, tmp_path):
    model, path = shipped(outcome, tmp_path)
    ask, facts = opened_graph(path)
    assert facts.canvas == 12 and len(facts.classes) == 10
    images = torch.rand(3, 3, 12, 12)
    wanted = transfuse.load(tmp_path / "int8").probabilities(images).numpy()
    assert np.abs(model.probabilities(images).numpy() - wanted).max() < 1e-6
    assert np.abs(ask(images.numpy()) - wanted).max() < 1e-6
    assert str(Path.cwd()).encode() not in path.read_bytes()
    some = np.arange(0, 1797, 100)
    canvas = torch.from_numpy(batch(open_data("sklearn:digits", tmp_path), some, 12))
    told = predict(path, "sklearn:digits", tmp_path).probabilities[some]
    assert np.abs(told - model.probabilities(canvas).numpy()).max() < 1e-6
    with pytest.raises(UserError, match="onnx"):
        exported_model(tmp_path / "int8", "torch_export", None)


BARE = """
import sys, numpy, onnxruntime
assert not {"torch", "transfuse", "scipy", "onnx"} & set(sys.modules)
(answers,) = onnxruntime.InferenceSession("int8.onnx").run(None, {"canvas": numpy.load("canvas.npy")})
numpy.save("answers.npy", answers)
"""


@pytest.mark.exhaustive
def test_the_int8_graph_answers_where_there_is_nothing_but_onnxruntime(outcome, tmp_path):
    """It installs onnxruntime from the package registry into an environment of its own."""
    _, path = shipped(outcome, tmp_path)
    python = tmp_path / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "bare"], check=True)
    wanted = f"onnxruntime=={onnxruntime.__version__}"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted], check=True)
    assert subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode
    some = np.arange(0, 1797, 10)
    np.save(tmp_path / "canvas.npy", batch(open_data("sklearn:digits", tmp_path), some, 12))
    subprocess.run([python, "-c", BARE], cwd=tmp_path, check=True, env={})
    told = predict(path, "sklearn:digits", tmp_path).probabilities[some]
    found = np.load(tmp_path / "answers.npy")
    assert np.abs(found - told).max() < 1e-6 and (found.argmax(1) == told.argmax(1)).all()


def test_int8_stays_near_and_the_pruned_network_is_the_one_that_was_judged(outcome, tmp_path):
    key, store = fit_of(outcome, "int8")
    assert store.need(key).meta["told"]["moved"] < 0.2
    key, store = fit_of(outcome, "pruned+tuned")
    fit, model = store.need(key), opened(key, Context(store, tmp_path), "pruned")
    assert used_parameters(model, torch.rand(1, 3, 12, 12)) == fit.meta["counted"]["parameters"]
    save(model, tmp_path / "pruned", facts={"canvas": 12})
    images = torch.rand(2, 3, 12, 12)
    assert torch.allclose(transfuse.load(tmp_path / "pruned")(images), model(images), atol=1e-5)


def test_a_second_run_computes_nothing(outcome):
    again = run(_request(outcome.folder.path.parent, "again"))
    assert again.executed == 0 and again.evidence == outcome.evidence
