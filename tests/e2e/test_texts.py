"""Texts from a table to a verdict: a BERT and static embeddings, fused, judged, shipped, and asked about new texts."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch

from source.text_folders import notes, write_bert, write_csv, write_table
from transfuse import fuse, load
from transfuse.doors.exporting import exported_model
from transfuse.doors.predicting import predict
from transfuse.errors import UserError
from transfuse.plan.recipe import validated
from transfuse.run.run import Request, run
from transfuse.steps import measure, probe

SOURCES = {
    "bert": {"spec": "hf:bert?tokens=16", "seen": "none"},
    "table": {"spec": "static:table?tokens=16", "seen": "none"},
}
RECIPE = {
    "sources": SOURCES,
    "data": {"read": "notes.csv", "splits": {"train": 40, "val": 30, "test": 50}, "canvas": 96},
    "candidates": {
        "concat": {"fuse": "features/concat"},
        "gate": {"fuse": "features/gate"},
        "averaged": {"fuse": "outputs/mean_prob"},
        "tuned": {"fuse": "features/concat", "train": {"regime": "full", "epochs": 1}},
    },
    "train": {"frozen": {"epochs": 4, "rates": [0.01], "least_steps": 20}},
    "ladder": "quick",
    "judge": {"test": "all"},
    "seeds": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    here = tmp_path_factory.mktemp("texts")
    write_bert(here / "bert")
    write_table(here / "table")
    write_csv(here / "notes.csv", notes(160))
    return here


def asked(folder, **changes) -> Request:
    recipe = {**RECIPE, "run": {"store": str(folder / "store"), "workers": 1}, **changes}
    return Request(validated(recipe, where="test"), folder, folder / "out")


@pytest.fixture(scope="module")
def outcome(folder):
    with pytest.MonkeyPatch.context() as patch:
        # Nothing here looks at seconds.
        patch.setattr(measure, "ROUNDS", 1)
        patch.setattr(measure, "WARM_UP", 0)
        patch.setattr(probe, "SECONDS", 1e-3)
        return run(asked(folder))


def test_a_verdict_with_the_whole_ladder(outcome, folder):
    record = json.loads((folder / "out" / "evidence.json").read_text())
    names = {arm["name"] for arm in record["arms"]}
    assert {"prior", "frozen/bert", "frozen/table", "ensemble", "concat", "gate", "averaged", "tuned"} <= names
    assert any(name.startswith(("copies", "random/")) for name in names)
    assert record["verdict"]["recommendation"]["arm"] in names
    losses = {one["arm"]: one["value"] for one in record["evidence"]
              if one["quantity"] == "log_loss" and one["versus"] is None and one["split"] == "test"}  # fmt: skip
    assert losses["frozen/table"] < losses["prior"]


def test_the_report_says_what_it_read(outcome, folder):
    said = (folder / "out" / "report.md").read_text()
    assert "reads the first 16 tokens of a text" in said
    assert "static:table" in said


def test_the_shipped_model_answers_for_new_texts_wherever_it_lies(outcome, folder, tmp_path):
    (tmp_path / "new").mkdir()
    fresh = notes(6, seed=7)
    for number, (text, _) in enumerate(fresh):
        (tmp_path / "new" / f"{number}.txt").write_text(text)
    (folder / "out" / "models").rename(tmp_path / "models")
    try:
        (model,) = (tmp_path / "models").iterdir()
        answers = predict(model, str(tmp_path / "new"), tmp_path)
        again = load(model)
    finally:
        (tmp_path / "models").rename(folder / "out" / "models")
    assert answers.items == tuple(f"{number}.txt" for number in range(6))
    assert answers.unlike is None
    direct = again.probabilities([text for text, _ in fresh]).detach().double().numpy()
    np.testing.assert_allclose(answers.probabilities, direct, atol=1e-6)
    table = list(csv.reader(answers.table().splitlines()))
    assert table[0] == ["item", "cooking", "sailing"]


def test_a_model_of_texts_has_no_graph(outcome, folder):
    (model,) = (folder / "out" / "models").iterdir()
    with pytest.raises(UserError, match="tokenizer"):
        exported_model(model, "onnx", None)


def test_running_again_changes_nothing(outcome, folder):
    before = (folder / "out" / "evidence.json").read_bytes()
    run(asked(folder))
    assert (folder / "out" / "evidence.json").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"judge": {"conditions": {"blur": [1]}}}, "conditions/blur works on images, not on texts"),
        ({"judge": {"conditions": {"pgd": [0.1]}}}, "works on images, not on texts"),
        ({"candidates": {"s": {"fuse": "structure/share"}}}, "structure/share works on images, not on texts"),
        ({"candidates": {"q": {"compress": "quantise", "of": "frozen/table"}}}, "compress/quantise works on images"),
        ({"train": {"full": {"augment": "mixup"}}, "ladder": "standard"}, "train/augment/mixup|mixup"),
        ({"sources": {**SOURCES, "seen": {"spec": "demo:vgg"}}}, "source 'seen' reads images, and the data are texts"),
        ({"data": {"read": "sklearn:digits"}}, "source 'bert' reads texts, and the data are images"),
        ({"recipient": "here:make"}, "a recipient takes images"),
        ({"data": {**RECIPE["data"], "extra": {"ood:far": {"read": "sklearn:digits"}}}}, "holds other items"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_what_needs_pixels_is_refused_before_any_work(folder, changes, said):
    with pytest.raises(UserError, match=said):
        run(asked(folder, **changes))


@pytest.mark.exhaustive
def test_a_search_and_the_standard_ladder_take_texts(folder):
    """Two networks of one architecture, so that their weights are averaged too, and a table."""
    write_bert(folder / "other", seed=1)
    sources = {**SOURCES, "other": {"spec": "hf:other?tokens=16", "seen": "none"}}
    train = {"frozen": {"epochs": 2, "rates": [0.01]}, "full": {"epochs": 1, "rates": [0.001]}}
    changes = {"sources": sources, "candidates": "auto", "ladder": "standard", "train": train}
    request = asked(folder, **changes)
    found = run(dataclasses.replace(request, out=folder / "standard"))
    names = {arm["name"] for arm in found.evidence["arms"]}
    assert {"soup", "ensemble", "copies", "scratch", *(f"frozen/{name}" for name in sources)} <= names
    assert any(name.startswith("tuned/") for name in names)
    assert any("+" in name for name in names)
    missing = {one["what"]: one["why"] for one in found.evidence["not_measured"]}
    assert not any("failed" in why for why in missing.values())


def test_fuse_in_python_takes_strings(folder, monkeypatch):
    monkeypatch.chdir(folder)
    net = fuse({"bert": "hf:bert", "table": "static:table"}, "features/concat", classes=["cooking", "sailing"])
    said = [text for text, _ in notes(5)]
    assert net(said).shape == (5, 2)
    net(said).sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)
    both = fuse({"bert": "hf:bert", "vgg": "demo:vgg"}, "features/concat", classes=["a", "b"])
    given = {"image": torch.rand(5, 3, 28, 28), "text": said}
    assert both(given).shape == (5, 2)
    torch.testing.assert_close(both({**given, "text": said[::-1]})[2], both(given)[2])
    with pytest.raises(UserError, match="items of several parts"):
        both(said)
    with pytest.raises(UserError, match="differ in number"):
        both({**given, "text": said[:3]})
