"""The recipes that are shipped: they parse, run on real weights where those are, and say so where they cannot."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from e2e.house import evidence, forked
from transfuse.data.open import index
from transfuse.errors import UserError
from transfuse.plan.recipe import read, validated
from transfuse.run.prepare import prepare
from transfuse.run.run import Request, run
from transfuse.store import Store

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "assets"
NEEDED = ("lite0.safetensors", "squeezenet.safetensors", "fashion-mnist")


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid(path):
    assert len(read(path).sources) >= 2


@pytest.mark.assets
@pytest.mark.skipif(not (ASSETS / "clipart-small").exists(), reason="`tools/assets.py clipart-small` was not run")
def test_three_hundred_drawings_are_planned_in_whole_clusters(tmp_path):
    path = ROOT / "recipes" / "small.yaml"
    prepared = prepare(read(path), root=path.parent, store=Store(tmp_path / "store"))
    items, parts = prepared.items, prepared.partition
    assert (parts.protocol, np.bincount(items.targets()).tolist()) == ("crossfit", [30] * 10)
    assert any("clusters of near-duplicates" in note for note in parts.notes)
    for part in parts.runs:
        assert not {items.groups[row] for row in part.train} & {items.groups[row] for row in part.judge}
    assert {"ensemble", "concat"} <= set(prepared.ladder.arms())


@pytest.mark.assets
@pytest.mark.skipif(not (ASSETS / "clipart").exists(), reason="`tools/assets.py clipart` was not run")
def test_the_clipart_set_has_ten_subjects_of_one_size():
    items = index("clipart", ASSETS)
    assert np.bincount(items.targets()).tolist() == [120] * 10
    assert set(index("clipart-small", ASSETS).ids) < set(items.ids)


@pytest.mark.assets
@pytest.mark.skipif(not (ASSETS / "mails.csv").exists(), reason="`tools/assets.py mails` was not run")
def test_the_mails_are_a_table_with_whatever_mails_hold():
    items = index("mails.csv", ASSETS)
    assert len(items) > 1000 and set(items.classes) == {"ham", "spam"}


@pytest.mark.assets
@pytest.mark.skipif(not all((ASSETS / name).exists() for name in NEEDED), reason="`make assets` was not run")
def test_real_networks_on_real_images_end_with_a_verdict(tmp_path):
    text = (ROOT / "recipes" / "fashion.yaml").read_text(encoding="utf-8").replace("../assets", str(ASSETS))
    small = text.replace("train: 2000, val: 1000, test: all", "train: 120, val: 30, test: 60").replace(
        "canvas: 96", "canvas: 64"
    )
    (tmp_path / "fashion.yaml").write_text(small.replace("seeds: 5", "seeds: 1"), encoding="utf-8")
    result = forked("run", "fashion.yaml", store=tmp_path / "store", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = evidence(tmp_path / "runs" / "fashion")
    levels = {
        row["arm"]: row["value"] for row in found["evidence"] if row["quantity"] == "accuracy" and row["versus"] is None
    }
    assert levels["frozen/lite0"] > 0.6
    assert levels["prior"] < 0.15
    assert found["verdict"]["recommendation"]["arm"] != "prior"


def photos(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for shade, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            pixels = rng.integers(0, 90, (40, 40, 3), dtype=np.uint8) + np.uint8(60 * shade)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def test_a_small_folder_with_copies_is_judged_in_whole_clusters(tmp_path):
    photos(tmp_path / "photos")
    for label in ("dark", "light"):
        for number in range(4):
            image = Image.open(tmp_path / "photos" / label / f"{number}.png").resize((80, 80), Image.Resampling.NEAREST)
            image.save(tmp_path / "photos" / label / f"{number}-large.png")
    (tmp_path / "small.yaml").write_text(
        """
sources:
  residual: {spec: "demo:residual", seen: none}
  depthwise: {spec: "demo:depthwise", seen: none}
data: {read: photos, groups: near_duplicates, canvas: 28}
candidates: [features/concat]
train: {frozen: {epochs: 2, rates: [0.01], least_steps: 10}}
""",
        encoding="utf-8",
    )
    result = forked("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = evidence(tmp_path / "runs" / "small")
    notes = " ".join(found["setup"]["data"]["notes"])
    assert "8 clusters of near-duplicates cover 16 images (the largest 2)" in notes
    assert found["setup"]["protocol"] == "crossfit"
    assert "near-duplicates" in (tmp_path / "runs" / "small" / "report.md").read_text(encoding="utf-8")


def resnet_vgg(folder: Path, tag: str):
    text = (ROOT / "recipes" / "resnet_vgg.yaml").read_text(encoding="utf-8").replace("IMAGENET1K_V1", tag)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return read(folder / "recipe.yaml")


def test_resnet_and_vgg_without_a_network_is_one_clear_message(tmp_path, monkeypatch):
    import torch

    def offline(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("TRANSFUSE_STORE", str(tmp_path / "store"))
    photos(tmp_path / "photos")
    with pytest.raises(UserError, match="cannot download the weights of 'resnet18'"):
        run(Request(resnet_vgg(tmp_path, "IMAGENET1K_V1"), tmp_path, tmp_path / "out"))


@pytest.mark.exhaustive
def test_resnet_and_vgg_run_from_recipe_to_verdict_with_random_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFUSE_STORE", str(tmp_path / "store"))
    photos(tmp_path / "photos")
    given = resnet_vgg(tmp_path, "random").model_dump()
    given["data"] = {"read": "photos/", "canvas": 32, "splits": {"train": 20, "val": 12, "test": 12}}
    del given["candidates"]["gate"], given["candidates"]["shared"], given["candidates"]["whole"]
    given |= {"ladder": "quick", "seeds": 1, "train": {"frozen": {"epochs": 2, "rates": [0.01]}}}
    outcome = run(Request(validated(given, where="test"), tmp_path, tmp_path / "out"))
    found = outcome.evidence
    assert {source["name"]: source["random"] for source in found["setup"]["sources"]} == {
        "resnet18": True,
        "vgg16": True,
    }
    assert {"frozen/resnet18", "frozen/vgg16", "ensemble"} <= {arm["name"] for arm in found["arms"]}
    assert {"best_single", "winner"} == {choice["choice"] for choice in found["setup"]["choices"]}
