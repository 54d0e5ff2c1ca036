"""A first recipe: it names every source that was given, by paths that hold where the recipe lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfuse.doors.planned import relocated, written_recipe
from transfuse.errors import UserError
from transfuse.source.spec import local, parse


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        ("file:nets/a.safetensors?arch=torchvision:resnet18", "file:../nets/a.safetensors?arch=torchvision:resnet18"),
        ("timm:net?checkpoint=nets/a.safetensors", "timm:net?checkpoint=../nets/a.safetensors"),
        ("onnx:nets/../net.onnx", "onnx:../net.onnx"),
        ("demo:vgg", "demo:vgg"),
        ("torchvision:resnet18", "torchvision:resnet18"),
    ],
)
def test_a_sources_paths_are_seen_from_the_recipe(given: str, moved: str, tmp_path: Path) -> None:
    (tmp_path / "vgg").mkdir()
    assert relocated(given, tmp_path, Path("recipes/mine.yaml")) == moved
    assert relocated(given, tmp_path, Path("mine.yaml")) == given.replace("nets/../", "")


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    spec = f"file:{tmp_path}/a.safetensors?arch=torchvision:resnet18"
    assert relocated(spec, tmp_path, Path("recipes/mine.yaml")) == spec
    assert local(tmp_path / "recipes", parse(spec).target) == tmp_path / "a.safetensors"


def test_two_sources_of_one_name_are_refused_rather_than_one_of_them_lost(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="same name"):
        written_recipe("sklearn:digits", ["demo:vgg", "demo:vgg@random"], tmp_path, tmp_path / "mine.yaml")
