"""An image, a text and cells in one item, from a table to a verdict, a model, and answers for another table."""

from __future__ import annotations

import csv
import json
import random

import numpy as np
import pytest
import torch
from PIL import Image

from source.text_folders import COMMON, COOKING, SAILING, write_table
from transfuse import load
from transfuse.doors.exporting import exported_model
from transfuse.doors.predicting import predict
from transfuse.errors import UserError
from transfuse.files.images import read_image
from transfuse.fusion.joints import Completed
from transfuse.plan.recipe import validated
from transfuse.run.choosing import Asked, choose
from transfuse.run.prepare import prepare
from transfuse.run.run import Request, run
from transfuse.steps import measure, probe
from transfuse.store import Store

ITEMS = 110
TABLE = {"csv": "items.csv", "path": "file", "text": "said", "label": "what", "columns": ["age", "place"]}
PICTURES = {"csv": "items.csv", "path": "file", "label": "what", "columns": ["age"]}
RECIPE = {
    "sources": {
        "photo": {"spec": "demo:depthwise", "seen": "none"},
        "words": {"spec": "static:table?tokens=16", "seen": "none"},
        "facts": {"spec": "columns:*"},
    },
    "data": {"read": TABLE, "splits": {"train": 40, "val": 30, "test": 40}, "canvas": 28},
    "candidates": {
        "concat": {"fuse": "features/concat"},
        "pair": {"fuse": "features/gate", "of": ["words", "facts"], "train": {"regime": "full", "epochs": 1}},
    },
    "train": {"frozen": {"epochs": 4, "rates": [0.01], "least_steps": 20}},
    "ladder": "quick",
    "judge": {"test": "all"},
    "seeds": 1,
}


def write_items(folder, change=lambda row: row):
    """Images of two brightnesses, texts of two subjects, an age and a place; each tells something of the label."""
    rng, noise = random.Random(0), np.random.default_rng(0)
    (folder / "pixels").mkdir(exist_ok=True)
    with (folder / "items.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["file", "said", "what", "age", "place", "note"])
        writer.writeheader()
        for number in range(ITEMS):
            kind = number % 2
            grey = (noise.random((28, 28)) * 200 + 40 * kind).astype(np.uint8)
            Image.fromarray(grey).save(folder / "pixels" / f"{number:03d}.png")
            words = [*rng.choices(COMMON, k=6), *rng.choices((SAILING, COOKING)[kind], k=1)]
            age = "" if number % 6 == 0 else f"{1990 + 20 * kind + rng.gauss(0, 2):.2f}"
            place = "" if number % 9 == 0 else rng.choices(["sea", "wood", "town"], [1 + 9 * kind, 10 - 9 * kind, 1])[0]
            facts = {"file": f"pixels/{number:03d}.png", "said": " ".join(words), "what": ["old", "new"][kind]}
            writer.writerow(change({**facts, "age": age, "place": place, "note": f"note {number}"}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    here = tmp_path_factory.mktemp("items")
    write_table(here / "table")
    write_items(here)
    return here


def asked(folder, out="out", **changes) -> Request:
    recipe = {**RECIPE, "run": {"store": str(folder / "store"), "workers": 1}, **changes}
    return Request(validated(recipe, where="test"), folder, folder / out)


@pytest.fixture(scope="module", autouse=True)
def hasty():
    with pytest.MonkeyPatch.context() as patch:
        # Nothing here looks at seconds.
        patch.setattr(measure, "ROUNDS", 1)
        patch.setattr(measure, "WARM_UP", 0)
        patch.setattr(probe, "SECONDS", 1e-3)
        yield


@pytest.fixture(scope="module")
def outcome(folder):
    return run(asked(folder))


def test_columns_are_judged_alone_together_and_left_out(outcome, folder):
    record = json.loads((folder / "out" / "evidence.json").read_text())
    arms = {arm["name"]: arm for arm in record["arms"]}
    assert {"frozen/photo", "frozen/words", "frozen/facts", "ensemble", "concat", "pair"} <= set(arms)
    assert any(name.startswith("without/facts") or "without/facts" in arm["name"] for name, arm in arms.items())
    losses = {one["arm"]: one["value"] for one in record["evidence"]
              if one["quantity"] == "log_loss" and one["versus"] is None and one["split"] == "test"}  # fmt: skip
    assert losses["frozen/facts"] < losses["prior"]
    assert arms["frozen/facts"]["cost"]["parameters"] == 2 * (2 * 1 + 3) + 2
    left_out = {one["what"]: one["why"] for one in record["not_measured"]}
    assert "no weights to draw anew" in left_out["random/facts"]
    said = (folder / "out" / "report.md").read_text()
    assert "age (a number, 19 of 110 missing), place (3 categories, 13 of 110 missing)" in said.replace("\n", " ")


def test_the_model_answers_for_another_table_by_name(outcome, folder):
    """Columns in another order, a missing cell and an unknown place; the same as asked in Python by part."""
    rows = list(csv.DictReader((folder / "items.csv").read_text().splitlines()))[:4]
    rows[0]["age"], rows[1]["place"] = "", "moon"
    with (folder / "other.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["place", "label", "text", "age", "path"])
        writer.writeheader()
        told = [{"place": row["place"], "age": row["age"], "text": row["said"], "path": row["file"]} for row in rows]
        writer.writerows(told)
    (arm,) = (folder / "out" / "models").iterdir()
    answers, model = predict(arm, "other.csv", folder), load(arm)
    assert json.loads((arm / "model.json").read_text())["table"] == {"path": "file", "text": "said", "label": "what"}
    assert predict(arm, "items.csv", folder).items[:4] == answers.items, "the names of the recipe are known too"
    pixels = [read_image(folder / row["path"]).astype(np.float32) / 255 for row in told]
    images = torch.from_numpy(np.stack([np.stack([grey] * 3) for grey in pixels]))
    cells = [{"age": row["age"], "place": row["place"]} for row in told]
    direct = model.probabilities({"image": images, "text": [row["text"] for row in told], "columns": cells})
    np.testing.assert_allclose(answers.probabilities, direct.detach().double().numpy(), atol=1e-6)
    with pytest.raises(UserError, match="is no part of a graph"):
        exported_model(arm, "onnx", None)


def test_numbers_are_standardised_by_the_training_rows_that_have_them(outcome, folder):
    (place,) = (folder / "out" / "models").iterdir()
    model = load(place)
    prepared = prepare(asked(folder).recipe, root=folder, store=Store(folder / "store"))
    told = json.loads((place / "model.json").read_text())
    (used,) = [each for each in prepared.partition.runs if each.name == told["run"]]
    rows = list(csv.DictReader((folder / "items.csv").read_text().splitlines()))
    ages = np.array([float(rows[row]["age"] or "nan") for row in np.sort(used.train)])
    (joint,) = [part for part in model.modules() if isinstance(part, Completed)]
    assert np.isnan(ages).any()
    assert float(joint.mean[0]) == pytest.approx(np.nanmean(ages), rel=1e-6)
    assert float(joint.std[0]) == pytest.approx(np.nanstd(ages), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"judge": {"conditions": {"blur": [1]}}}, "conditions/blur works on images, not on texts or columns"),
        ({"judge": {"conditions": {"pgd": [0.1]}}}, "conditions/pgd works on images, not on texts or columns"),
        ({"candidates": {"s": {"fuse": "structure/share"}}}, "structure/share works on images, not on texts or col"),
        ({"candidates": {"q": {"compress": "quantise", "of": "frozen/facts"}}}, "compress/quantise works on images"),
        ({"recipient": "here:make"}, "a recipient takes images, and the data are images with texts with columns"),
        ({"data": PICTURES}, "source 'words' reads texts, and the data are images with columns"),
        ({"sources": {**RECIPE["sources"], "facts": "columns:aeg"}}, "unknown column 'aeg'"),
        ({"sources": {"facts": {"spec": "columns:*", "prepare": {"aeg": "number"}}}}, "unknown column 'aeg'"),
        ({"sources": {"facts": {"spec": "columns:*", "prepare": {"age": "old"}}}}, "nobody knows what column 'age'"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_what_does_not_work_on_columns_is_refused_before_any_work(folder, changes, said):
    with pytest.raises(UserError, match=said):
        run(asked(folder, "refused", **changes))


@pytest.mark.exhaustive
def test_choosing_looks_at_columns_too(folder):
    found = choose(asked(folder, "choice"), Asked())
    assert {arm["name"] for arm in found.evidence["arms"]} >= {"facts", "photo", "words"}
