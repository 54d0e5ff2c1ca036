"""Answers of a shipped model for images without labels."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import transfuse
from transfuse.data.canvas import place
from transfuse.doors.cli import app
from transfuse.doors.exporting import exported_model
from transfuse.doors.inspecting import facts_of
from transfuse.doors.predicting import predict
from transfuse.errors import UserError
from transfuse.evaluation.elsewhere.files import read_predictions
from transfuse.fusion import saved
from transfuse.report.view import SCHEMA
from transfuse.source.open import make_card, open_source

ORIGIN = {"evidence": "ab" * 32, "plan": "cd" * 32, "made_by": "transfuse 1"}
CLASSES = [f"class {number}" for number in range(10)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with a temperature of its own."""
    folder = tmp_path_factory.mktemp("model")
    card = make_card("vgg", "demo:vgg", root=Path(), canvas=28)
    source = open_source(card, root=Path())
    source.temperature = 2.5
    saved.save(source, folder, facts={"canvas": 28, "classes": CLASSES, "arm": "frozen/vgg", "origin": ORIGIN})
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty small photos right inside a folder: more than one batch."""
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)).save(folder / f"{number:02d}.png")
    return folder


def test_answers_are_the_models_probabilities_after_its_temperature(model: Path, photos: Path):
    found = predict(model, "photos", photos.parent)
    assert found.items[:2] == ("00.png", "01.png") and found.classes == tuple(CLASSES)
    source = saved.load(model)
    image = place(np.asarray(Image.open(photos / "37.png")), 28)
    with torch.no_grad():
        logits = source(torch.from_numpy(image)[None]).double()[0]
    np.testing.assert_allclose(found.probabilities[37], torch.softmax(logits / 2.5, 0).numpy(), atol=1e-6)


def test_the_command_writes_what_evaluate_reads(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["predict", str(model), "photos", "--out", "answers.csv"])
    assert done.exit_code == 0, done.output
    assert "frozen/vgg: 40 items" in done.output and "written: answers.csv" in done.output
    read = read_predictions("answers", tmp_path / "answers.csv")
    assert read.classes == tuple(CLASSES) and read.scores.shape == (1, 40, 10)
    np.testing.assert_allclose(read.scores.sum(axis=2), 1.0, atol=1e-6)
    with (tmp_path / "answers.csv").open() as handle:
        assert next(csv.reader(handle)) == ["item", *CLASSES]
    again = CliRunner().invoke(app, ["predict", str(model), "photos", "--out", "answers.csv"])
    assert again.exit_code == 1 and isinstance(again.exception, UserError), "a file that is there is not overwritten"


def test_a_runs_folder_stands_for_the_model_it_recommends(model: Path, photos: Path, tmp_path: Path):
    run = tmp_path / "run"
    (run / "models").mkdir(parents=True)
    verdict = {"recommendation": {"arm": "frozen/vgg", "form": "single", "why": ""}, "claims": [], "flags": []}
    (run / "evidence.json").write_text(json.dumps({"schema": SCHEMA, "verdict": verdict, "evidence": [], "arms": []}))
    with pytest.raises(UserError, match="kept no model"):
        predict(run, "photos", photos.parent)
    (run / "models" / "frozen.vgg").symlink_to(model)
    assert len(predict(run, "photos", photos.parent).items) == 40


def test_progress_counts_items(model: Path, photos: Path):
    heard: list[tuple[int, int]] = []
    predict(model, "photos", photos.parent, lambda done, of: heard.append((done, of)))
    assert heard == [(32, 40), (40, 40)]


def test_no_model_no_images_and_a_model_without_a_canvas_are_one_message_each(
    model: Path, photos: Path, tmp_path: Path
):
    with pytest.raises(UserError, match="neither a run nor a model"):
        predict(tmp_path / "nothing", "photos", photos.parent)
    with pytest.raises(UserError, match="data folder not found"):
        predict(model, "elsewhere", tmp_path)
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("model.json", "model.safetensors"):
        (bare / name).write_bytes((model / name).read_bytes())
    record = json.loads((bare / "model.json").read_text())
    for facts, message in (({"canvas": None}, "which canvas"), ({"classes": CLASSES[:9]}, "another number of classes")):
        (bare / "model.json").write_text(json.dumps(record | facts))
        with pytest.raises(UserError, match=message):
            predict(bare, "photos", photos.parent)


def test_the_exported_graph_answers_as_the_model_does(model: Path, photos: Path, tmp_path: Path, monkeypatch):
    """From the command line: export, then predict with onnxruntime alone."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["export", str(model), "--what", "onnx", "--out", "winner.onnx"])
    assert done.exit_code == 0, done.output
    mine, graphs = predict(model, "photos", tmp_path), predict(tmp_path / "winner.onnx", "photos", tmp_path)
    assert (graphs.model, graphs.classes, graphs.items) == (mine.model, mine.classes, mine.items)
    np.testing.assert_allclose(graphs.probabilities, mine.probabilities, atol=1e-5)
    told = CliRunner().invoke(app, ["inspect", "winner.onnx"]).output
    assert "safe to load" in told.splitlines()[0]
    assert f"evidence: SHA-256 {ORIGIN['evidence']}" in told and f"plan: {ORIGIN['plan']}" in told


def test_images_unlike_those_it_learnt_from_are_listed_beside_the_answers(model: Path, photos: Path, tmp_path: Path):
    from transfuse.data.familiar import fit, looks
    from transfuse.doors.predicting import written

    rng = np.random.default_rng(1)
    seen = [looks(rng.integers(0, 256, (60, 3, 28, 28)).astype(np.float32) / 255) for _ in range(2)]
    known = fit(*seen, np.full((60, 10), 0.1))
    assert known is not None
    home = tmp_path / "model"
    home.mkdir()
    for path in model.iterdir():
        (home / path.name).write_bytes(path.read_bytes())
    record = json.loads((home / "model.json").read_text())
    (home / "model.json").write_text(json.dumps({**record, "familiar": known.record()}))
    Image.fromarray(np.zeros((28, 28, 3), dtype=np.uint8)).save(photos / "black.png")
    answers = predict(home, "photos", tmp_path)
    assert answers.unlike is not None
    assert dict(zip(answers.items, answers.unlike, strict=True))["black.png"] == "looks"
    said = written(answers, tmp_path / "p.csv")
    assert "unlike the images it learnt from" in said
    assert "black.png,looks" in (tmp_path / "p.unlike.csv").read_text().splitlines()
    assert read_predictions("p", tmp_path / "p.csv").classes == tuple(CLASSES), "the answers stay what evaluate reads"
    without = written(predict(model, "photos", tmp_path), tmp_path / "q.csv")
    assert "does not tell" in without
    assert not (tmp_path / "q.unlike.csv").exists()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("run/models/frozen.vgg/model.json", "its folder: run/models/frozen.vgg"),
        ("run/models/frozen.vgg/model.safetensors", "its folder: run/models/frozen.vgg"),
        ("run/models", "run/models/frozen.vgg"),
        ("winner.pt2", "torch.export.load"),
    ],
)
def test_what_is_no_models_folder_but_near_one_is_told_with_what_to_give(
    given: str, hint: str, model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(photos.parent)
    (photos.parent / "run" / "models").mkdir(parents=True)
    (photos.parent / "run" / "models" / "frozen.vgg").symlink_to(model)
    for ask in (lambda: predict(Path(given), "photos", Path.cwd()), lambda: transfuse.load(given)):
        with pytest.raises(UserError, match="neither a run nor a model") as found:
            ask()
        assert hint in str(found.value.hint)


def test_an_exported_program_is_told_apart_and_is_not_opened(model: Path, tmp_path: Path):
    path = exported_model(model, "torch_export", tmp_path / "winner.pt2")
    facts = facts_of(path)
    assert (facts["kind"], facts["safe"], facts["metadata"]["canvas"]) == ("PyTorch program", False, "28")
    assert "torch.export.load unpickles" in facts["why"] and f"plan: {ORIGIN['plan']}" in facts["origin"]
    path.write_bytes(b"no archive")
    assert "this is no program of torch.export" in facts_of(path)["why"]


def test_what_cannot_be_read_is_named_and_all_others_are_answered(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = predict(model, "photos", tmp_path)
    (photos / "03.png").write_bytes((photos / "03.png").read_bytes()[:900])
    (photos / "35.png").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["predict", str(model), "photos", "--out", "p.csv"])
    assert isinstance(done.exception, UserError) and done.exit_code == 1, "told as a failure, so that no script goes on"
    assert "03.png: image is damaged" in done.exception.what and "35.png: not an image" in done.exception.what
    assert "without an answer: 2 that cannot be read, listed in p.unread.csv" in done.output
    with (tmp_path / "p.unread.csv").open() as handle:
        assert [row[0] for row in csv.reader(handle)] == ["item", "03.png", "35.png"]
    kept = [place for place, item in enumerate(whole.items) if item not in ("03.png", "35.png")]
    found = read_predictions("p", tmp_path / "p.csv")
    assert found.scores.shape == (1, 38, 10)
    np.testing.assert_allclose(found.scores[0], whole.probabilities[kept], atol=1e-6)


def test_where_nothing_can_be_read_there_is_no_answer(model: Path, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"(?s)no item can be read \(1\).*a\.png: not an image"):
        predict(model, "photos", tmp_path)


@pytest.mark.parametrize("head", ["file,note", "note,path", "kind,file"])
def test_a_table_is_read_under_the_recipes_names_and_needs_no_label(
    head: str, model: Path, photos: Path, tmp_path: Path
):
    home = tmp_path / "model"
    home.mkdir()
    for path in model.iterdir():
        (home / path.name).write_bytes(path.read_bytes())
    record = json.loads((home / "model.json").read_text())
    (home / "model.json").write_text(json.dumps({**record, "table": {"path": "file", "label": "kind"}}))
    exported_model(home, "onnx", tmp_path / "winner.onnx")
    columns = head.split(",")
    lines = [
        ",".join("" if name in ("note", "kind") else f"photos/{row:02d}.png" for name in columns) for row in (5, 7)
    ]
    (tmp_path / "new.csv").write_text("\n".join([head, *lines]))
    wanted = predict(model, "photos", tmp_path).probabilities[[5, 7]]
    for asked in (home, tmp_path / "winner.onnx"):
        found = predict(asked, "new.csv", tmp_path)
        assert found.items == ("photos/05.png", "photos/07.png")
        np.testing.assert_allclose(found.probabilities, wanted, atol=1e-5)
    (tmp_path / "new.csv").write_text("foto\na.png\n")
    with pytest.raises(UserError, match="(?s)unknown column 'file'.*foto"):
        predict(home, "new.csv", tmp_path)


@pytest.mark.parametrize("taken", ["p.csv", "p.unlike.csv", "p.unread.csv", "folder"])
def test_a_file_that_cannot_be_written_is_told_before_the_work(taken: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transfuse.doors.predicting.predict", lambda *_: pytest.fail("the work was done"))
    (tmp_path / taken).write_text("mine")
    out = "folder/deep/p.csv" if taken == "folder" else "p.csv"
    found = CliRunner().invoke(app, ["predict", "runs/none", "photos", "--out", out]).exception
    assert isinstance(found, UserError)
    assert ("no file can be written here" if taken == "folder" else "of that name already") in found.what
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(taken, "mine")]


def test_an_unknown_form_is_told_with_every_form_there_is(tmp_path):
    found = CliRunner().invoke(app, ["export", str(tmp_path), "--what", "onxx"]).exception
    assert isinstance(found, UserError) and found.hint == "onnx"
    assert {"onnx", "torch_export", "model_card", "rows"} <= set(str(found.expected).replace(",", "").split())


@pytest.mark.parametrize(
    ("data", "says"), [("photos/00.png", "(?s)one image is no data set.*photos/"), (" ", "no data")]
)
def test_one_image_and_no_name_are_told_with_what_to_give(data: str, says: str, model: Path, photos: Path):
    with pytest.raises(UserError, match=says):
        predict(model, data, photos.parent)
