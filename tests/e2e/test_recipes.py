"""The recipes that are shipped: they parse, run on real weights where those are, and say so where they cannot."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from e2e.house import evidence, transfuse
from transfuse.errors import UserError
from transfuse.plan.recipe import read, validated
from transfuse.run.run import Request, run

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "assets"
NEEDED = ("lite0.safetensors", "squeezenet.safetensors", "fashion-mnist")


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid(path):
    assert len(read(path).sources) == 2


@pytest.mark.assets
@pytest.mark.skipif(not all((ASSETS / name).exists() for name in NEEDED), reason="`make assets` was not run")
def test_real_networks_on_real_images_end_with_a_verdict(tmp_path):
    text = (ROOT / "recipes" / "fashion.yaml").read_text(encoding="utf-8").replace("../assets", str(ASSETS))
    small = text.replace("train: 2000, val: 1000, test: all", "train: 200, val: 100, test: 300").replace(
        "canvas: 96", "canvas: 64"
    )
    (tmp_path / "fashion.yaml").write_text(small.replace("seeds: 5", "seeds: 2"), encoding="utf-8")
    result = transfuse("run", "fashion.yaml", store=tmp_path / "store", cwd=tmp_path)
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
        for index in range(30):
            pixels = rng.integers(0, 90, (40, 40, 3), dtype=np.uint8) + np.uint8(60 * shade)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


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


def test_resnet_and_vgg_run_from_recipe_to_verdict_with_random_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFUSE_STORE", str(tmp_path / "store"))
    photos(tmp_path / "photos")
    given = resnet_vgg(tmp_path, "random").model_dump()
    given["data"] = {"read": "photos/", "canvas": 32, "splits": {"train": 20, "val": 12, "test": 12}}
    del given["candidates"]["gate"], given["candidates"]["whole"]
    given |= {"ladder": "quick", "seeds": 1, "train": {"frozen": {"epochs": 2, "rates": [0.01]}}}
    outcome = run(Request(validated(given, where="test"), tmp_path, tmp_path / "out"))
    found = outcome.evidence
    assert {source["name"]: source["random"] for source in found["setup"]["sources"]} == {
        "resnet18": True,
        "vgg16": True,
    }
    assert {"frozen/resnet18", "frozen/vgg16", "ensemble"} <= {arm["name"] for arm in found["arms"]}
    assert {"best_single", "winner"} == {choice["choice"] for choice in found["setup"]["choices"]}
