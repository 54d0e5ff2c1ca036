"""The laws of the conversion: values stay, names fit, nothing in a file is run, the networks know the photos."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asset_weights
from asset_weights import ArraysOnly, photo_target, renamed_by_order, squeezenet_tensors
from transfuse.errors import UnsafeFileError, UserError


class Shape:
    def __init__(self, *shape: int) -> None:
        self.shape = shape


def test_renaming_by_order_keeps_the_values() -> None:
    given = {"_fc.weight": Shape(2, 3), "_fc.bias": Shape(2)}
    assert renamed_by_order(given, {"fc.weight": (2, 3), "fc.bias": (2,)}) == {
        "fc.weight": given["_fc.weight"],
        "fc.bias": given["_fc.bias"],
    }


@settings(deadline=None, max_examples=20)
@given(st.permutations(["a.weight", "a.bias", "b.running_mean"]))
def test_renaming_refuses_every_other_order(order: list[str]) -> None:
    wanted = {"a.weight": (1,), "a.bias": (1,), "b.running_mean": (1,)}
    given = {name: Shape(1) for name in order}
    if order == list(wanted):
        assert list(renamed_by_order(given, wanted)) == order
    else:
        with pytest.raises(UserError, match="do not correspond"):
            renamed_by_order(given, wanted)


def test_renaming_refuses_other_shapes_and_numbers_of_tensors() -> None:
    with pytest.raises(UserError, match=r"a.weight \(2,\) is not b.weight \(3,\)"):
        renamed_by_order({"a.weight": Shape(2)}, {"b.weight": (3,)})
    with pytest.raises(UserError, match="differ in tensors"):
        renamed_by_order({"a.weight": Shape(2)}, {})


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path) -> None:
    evil = pickle.dumps({"conv1": Runs(tmp_path / "ran")})
    with pytest.raises(UnsafeFileError, match="system"):
        ArraysOnly(io.BytesIO(evil)).load()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_pickle_of_arrays_is_read(protocol: int) -> None:
    value = {"conv1": [np.arange(6.0).reshape(2, 3), np.zeros(2, np.float32)]}
    read = ArraysOnly(io.BytesIO(pickle.dumps(value, protocol))).load()
    assert all(np.array_equal(*pair) for pair in zip(read["conv1"], value["conv1"], strict=True))


def test_squeezenet_kernels_turn_and_places_are_torchvisions() -> None:
    kernel = np.arange(3 * 2 * 4 * 5).reshape(3, 2, 4, 5)
    layers = {name: (kernel, np.arange(5)) for name in ("conv1", "fire4/squeeze1x1", "fire9/expand3x3", "conv10")}
    tensors = squeezenet_tensors(layers)
    assert [name for name in tensors if name.endswith("weight")] == [
        "features.0.weight",
        "features.6.squeeze.weight",
        "features.12.expand3x3.weight",
        "classifier.1.weight",
    ]
    assert tensors["features.0.weight"].shape == (5, 4, 3, 2)
    assert tensors["features.0.weight"][4, 1, 2, 0] == kernel[2, 0, 1, 4]
    with pytest.raises(UserError, match="no such layer"):
        squeezenet_tensors({"fire1/squeeze1x1": (kernel, np.arange(5))})


def test_a_photo_tells_its_class() -> None:
    assert photo_target(Path("imagenet_07_609.jpg")) == 609
    with pytest.raises(UserError, match="class number"):
        photo_target(Path("imagenet.jpg"))


@pytest.mark.assets
@pytest.mark.parametrize(("name", "least"), [("lite0", 17), ("squeezenet", 12)])
def test_converted_networks_know_the_labelled_photos(name: str, least: int, real_assets: Path) -> None:
    right, total = asset_weights.top1(name, real_assets)
    assert total == 20
    assert right >= least


@pytest.mark.assets
def test_converted_files_carry_a_whole_card(real_assets: Path) -> None:
    cards = {name: asset_weights.metadata(real_assets / f"{name}.safetensors") for name in ("lite0", "squeezenet")}
    assert (cards["lite0"]["mean"], cards["lite0"]["scale"], cards["lite0"]["order"]) == ([0.5, 0.5, 0.5], 1.0, "rgb")
    assert (cards["squeezenet"]["order"], cards["squeezenet"]["scale"]) == ("bgr", 255.0)
    assert cards["squeezenet"]["mean"] == [103.939, 116.779, 123.68]
    assert all(card["licence"] and card["origin"] and card["seen"] for card in cards.values())
