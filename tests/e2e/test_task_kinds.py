"""Labels that may hold together, and numbers: two small runs through the command line, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss, mean_squared_error
from typer.testing import CliRunner

from e2e.house import evidence, executed, write_recipe
from transfuse import load
from transfuse.doors.cli import app
from transfuse.errors import UserError
from transfuse.plan.recipe import parse
from transfuse.run.prepare import prepare
from transfuse.store import Store

NAMES = ("even", "large", "loop")
SOURCES = """
sources:
  residual: {spec: "demo:residual", seen: none}
  depthwise: {spec: "demo:depthwise", seen: none}
"""
TRAIN = "train: {frozen: {epochs: 3, rates: [0.01], least_steps: 9}}\n"
LABELS = (
    SOURCES
    + TRAIN
    + """
data: {read: "npz:labels.npz", splits: {train: 60, val: 30, test: 60}, canvas: 16}
task: {kind: multilabel, also: [subset_accuracy, macro_auroc, "own:misses", "own:sure?direction=higher"]}
candidates:
  pooled: {fuse: outputs/convex, of: [residual, depthwise]}
  concat: {fuse: features/concat, train: {regime: full, epochs: 1, rates: [0.003]}}
judge: {test: all, guards: {macro_f1: 0.5}}
seeds: 1
"""
)
NUMBERS = (
    SOURCES
    + TRAIN
    + """
data: {csv: numbers.csv, label: [ink, digit], canvas: 16}
task: {kind: regression, metric: rmse}
candidates: {averaged: {fuse: outputs/mean_prob, of: [residual, depthwise]}}
"""
)
OWN = """
def misses(targets, scores):
    return float(((scores >= 0.5) != targets).sum(axis=1).mean())

misses.direction = "lower"

def sure(targets, scores):
    return float(abs(scores - 0.5).mean())
"""


def digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    images, targets = load_digits(return_X_y=True)
    return (np.asarray(images)[:count] / 16).reshape(-1, 8, 8).astype(np.float32), np.asarray(targets)[:count]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("kinds")
    images, targets = digits(150)
    flags = np.stack([targets % 2 == 0, targets > 4, np.isin(targets, (0, 6, 8, 9))], axis=1).astype(np.int64)
    np.savez(made / "labels.npz", x=images, y=flags, classes=np.array(NAMES))
    header = [f"p{place}" for place in range(64)] + ["ink", "digit"]
    rows = [
        [*(f"{value:g}" for value in image.ravel()), f"{100 * image.mean():g}", str(target)]
        for image, target in zip(images[:80], targets[:80], strict=True)
    ]
    (made / "numbers.csv").write_text("\n".join(",".join(row) for row in [header, *rows]), encoding="utf-8")
    (made / "own.py").write_text(OWN, encoding="utf-8")
    write_recipe(made, LABELS, "labels.yaml")
    write_recipe(made, NUMBERS, "numbers.yaml")
    return made


def said(folder: Path, *words: str) -> str:
    """What a command prints; run in this process, so that nothing is imported twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TRANSFUSE_STORE", str(folder / "store"))
        result = CliRunner().invoke(app, [*words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def labels(folder: Path) -> Path:
    assert "Recommendation: Ship " in said(folder, "run", "labels.yaml")
    return folder / "runs" / "labels"


@pytest.fixture(scope="module")
def numbers(folder: Path) -> Path:
    assert "Recommendation: Ship " in said(folder, "run", "numbers.yaml")
    return folder / "runs" / "numbers"


def level(out: Path, arm: str, quantity: str) -> dict:
    (row,) = [
        row
        for row in evidence(out)["evidence"]
        if (row["arm"], row["quantity"], row["versus"], row["condition"]) == (arm, quantity, None, "clean")
    ]
    return row


def test_arms_of_every_sort_answer_for_labels(labels: Path) -> None:
    arms = {arm["name"] for arm in evidence(labels)["arms"]}
    assert {"prior", "frozen/residual", "ensemble", "pooled", "concat"} <= arms
    assert evidence(labels)["setup"]["data"]["labels"] == 3


def test_stored_scores_give_the_loss_of_the_evidence_after_the_temperature(labels: Path) -> None:
    items = json.loads((labels / "predictions" / "test.items.json").read_text(encoding="utf-8"))
    truth = np.array([[name in held for name in NAMES] for held in items["targets"]]).astype(int)
    path = labels / "predictions" / "concat" / "s0" / "test" / "clean.safetensors"
    with safe_open(path, framework="numpy") as opened:
        temperature = float(opened.metadata()["temperature"])
    found = load_file(path)
    probs = 1.0 / (1.0 + np.exp(-found["scores"].astype(float) / temperature))
    wanted = np.mean([log_loss(truth[found["rows"], c], probs[:, c]) for c in range(3)])
    assert level(labels, "concat", "binary_log_loss")["value"] == pytest.approx(wanted, abs=1e-5)
    misses = ((probs >= 0.5) != truth[found["rows"]]).sum(axis=1).mean()
    assert level(labels, "concat", "own:misses")["value"] == pytest.approx(misses)
    assert level(labels, "concat", "own:sure?direction=higher")["direction"] == "higher"


def test_questions_of_labels_are_asked_and_those_of_classes_are_told(labels: Path) -> None:
    quantities = {row["quantity"] for row in evidence(labels)["evidence"]}
    assert {"macro_auroc", "ece_by_label", "positive_flips", "guard_macro_f1", "temperature"} <= quantities
    assert {"aurc", "auroc", "disagreement", "der"} <= quantities
    assert not {"ece", "worst_class", "shapley"} & quantities
    reasons = {entry["what"]: entry["why"] for entry in evidence(labels)["not_measured"]}
    assert "exclude each other" in reasons["shares of the gain by source (Shapley)"]
    assert {"overfitting", "how branches fare", "the transferability scores' own record"} <= set(reasons)
    told = (labels / "report.md").read_text(encoding="utf-8")
    assert "Its binary log-loss is" in told
    assert "worst class" not in told


def test_the_shipped_model_gives_chances_of_labels_and_predict_writes_them(folder: Path, labels: Path) -> None:
    said(folder, "predict", "runs/labels", "npz:labels.npz", "--out", "chances.csv")
    header, *rows = (folder / "chances.csv").read_text(encoding="utf-8").splitlines()
    assert header == "item,even,large,loop"
    chances = np.array([[float(cell) for cell in row.split(",")[1:]] for row in rows])
    assert chances.shape == (150, 3)
    assert ((chances >= 0) & (chances <= 1)).all()
    assert np.abs(chances.sum(axis=1) - 1).max() > 0.01


def test_a_changed_function_judges_again_and_trains_nothing(folder: Path, labels: Path) -> None:
    (folder / "own.py").write_text(OWN.replace("0.5", "0.6"), encoding="utf-8")
    said(folder, "run", "labels.yaml")
    assert "evaluate" in executed(labels)
    assert not [step for step in executed(labels) if step.startswith(("fit", "predict", "extract"))]
    assert evidence(labels)["ledger"]["ordinal"] == 2


def test_numbers_are_cross_fitted_in_their_own_unit(numbers: Path) -> None:
    assert evidence(numbers)["setup"]["protocol"] == "crossfit"
    items = json.loads((numbers / "predictions" / "test.items.json").read_text(encoding="utf-8"))
    truth = np.array(items["targets"])
    answers = np.empty_like(truth)
    for fold in range(5):
        found = load_file(numbers / "predictions" / "ensemble" / f"f{fold}" / "test" / "clean.safetensors")
        answers[found["rows"]] = found["scores"]
    row = level(numbers, "ensemble", "rmse")
    assert row["value"] == pytest.approx(mean_squared_error(truth, answers) ** 0.5, rel=1e-5)
    assert row["value"] < level(numbers, "prior", "rmse")["value"]


def test_a_number_speaks_of_no_class_and_is_chosen_by_its_metric(numbers: Path) -> None:
    told = (numbers / "report.md").read_text(encoding="utf-8")
    assert "Its root mean squared error is" in told
    assert not [word for word in ("2 classes", "worst class", "softmax") if word in told]
    quantities = {row["quantity"] for row in evidence(numbers)["evidence"]}
    assert not {"temperature", "positive_flips", "reliability", "accuracy"} & quantities
    assert {"error_correlation", "ambiguity_squared_error"} <= quantities
    reasons = {entry["what"] for entry in evidence(numbers)["not_measured"]}
    assert {"calibration", "answering in part (selective risk)", "area under the ROC curve"} <= reasons
    (choice,) = [
        each for each in evidence(numbers)["setup"]["choices"] if (each["choice"], each["run"]) == ("winner", "f0")
    ]
    assert choice["scores"]["averaged"] < 10  # a root, where the mean square is far larger


def test_the_study_gives_a_model_of_numbers(numbers: Path) -> None:
    study = load(numbers)
    model = study.model()
    images, targets = digits(80)
    with torch.no_grad():
        given = model(
            torch.from_numpy(images)[:, None].expand(-1, 3, -1, -1).repeat_interleave(2, 2).repeat_interleave(2, 3)
        )
    assert given.shape == (80, 2)
    assert np.corrcoef(given[:, 0].numpy(), images.mean(axis=(1, 2)))[0, 1] > 0.2
    assert abs(float(given[:, 1].mean()) - targets.mean()) < 2.0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("kind: regression", "kind: regresion"), "did you mean 'regression'"),
        (("metric: rmse", "metric: accuracy"), "does not hold for a regression task"),
        (("outputs/mean_prob", "outputs/convex"), "outputs/convex does not hold for a regression task"),
        (("[ink, digit]", "[ink, p0, dgit]"), "unknown column 'dgit'"),
        (("metric: rmse", 'metric: "own:nothing"'), "unknown name in own 'nothing'"),
        (("metric: rmse", 'metric: "own:sure"'), "does not say which direction is better"),
        (("kind: regression, metric: rmse", "kind: multilabel"), "neither 0 nor 1"),
    ],
)
def test_the_wrong_ways_end_in_one_message(folder: Path, change: tuple[str, str], told: str) -> None:
    with pytest.raises(UserError) as caught:
        prepare(parse(NUMBERS.replace(*change), where="x.yaml"), root=folder, store=Store(folder / "store"))
    assert told in caught.value.message()
