"""The laws of the demo's pretraining: it learns, the same seed gives the same bytes, and it says what it did."""

import gzip
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pretrain_demo
from pretrain_demo import Images, Settings
from transfuse import demo
from transfuse.errors import UserError
from transfuse.types import Prepare

SMALL = Settings(rows=96, epochs=3, batch_size=16)


def stripes(count: int, seed: int, width: int = 28) -> Images:
    """Ten classes that a few steps can tell apart: a bright bar in one of ten places, with noise."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 10, count).astype(np.uint8)
    pixels = rng.integers(0, 60, (count, 28, width), dtype=np.uint8)
    for row, target in enumerate(targets):
        pixels[row, 2 * target + 4 : 2 * target + 6] = 255
    return Images(pixels, targets)


def write_set(folder: Path, count: int = 96) -> Path:
    folder.mkdir(parents=True)
    for part, seed in (("train", 0), ("t10k", 1)):
        images = stripes(count, seed)
        for kind, array in (("images-idx3", images.pixels), ("labels-idx1", images.targets)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    return folder


def test_inputs_are_normalised_as_the_card_says() -> None:
    images = Images(np.array([[[0, 255]]], np.uint8), np.zeros(1, np.uint8))
    found = images.inputs(np.array([0]))
    prepare = Prepare(**{key: pretrain_demo.card(1)[key] for key in ("size", "mean", "std", "channels")})
    expected = [(value - prepare.mean[0]) / prepare.std[0] for value in (0.0, 1.0)]
    assert found.shape == (1, 1, 1, 2)
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert images.pixels.tolist() == [[[0, 255]]]


def test_training_learns() -> None:
    images, fresh = stripes(200, 0, width=8), stripes(200, 1, width=8)
    network = pretrain_demo.train("residual", images, Settings(rows=200, epochs=6, batch_size=20))
    assert not network.training
    assert pretrain_demo.accuracy(network, fresh) > 0.5


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    images = stripes(96, 0)
    state = torch.get_rng_state()
    packed = [
        pretrain_demo.packed(pretrain_demo.train("depthwise", images, Settings(seed, 96, 1, 32)), 96)
        for seed in (0, 0, 1)
    ]
    assert packed[0] == packed[1] != packed[2]
    assert torch.equal(state, torch.get_rng_state())


def test_only_the_first_rows_are_used() -> None:
    images = stripes(64, 0)
    changed = Images(np.concatenate([images.pixels[:32], 255 - images.pixels[32:]]), images.targets)
    settings = Settings(rows=32, epochs=1, batch_size=16)
    first, second = (pretrain_demo.packed(pretrain_demo.train("vgg", data, settings), 32) for data in (images, changed))
    assert first == second


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UserError, match="too few"):
        pretrain_demo.train("vgg", stripes(10, 0), SMALL)


def test_accuracy_counts_what_the_highest_logit_gets_right() -> None:
    images = Images(np.zeros((5, 28, 28), np.uint8), np.array([3, 3, 0, 3, 1], np.uint8))

    class Three(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.eye(10)[torch.full((len(inputs),), 3)]

    assert pretrain_demo.accuracy(Three(), images, batch_size=2) == 0.6


def test_making_all_writes_weights_and_provenance(tmp_path: Path) -> None:
    data = write_set(tmp_path / "data")
    pretrain_demo.make(data, tmp_path / "out", replace(SMALL, epochs=1))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "depthwise.safetensors",
        "provenance.json",
        "residual.safetensors",
        "vgg.safetensors",
    ]
    told = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert told["settings"]["epochs"] == 1
    assert set(told["networks"]) == set(demo.NAMES)
    assert all(0 <= facts["test_accuracy"] <= 1 for facts in told["networks"].values())
    assert len(told["data"]["sha256"]) == 4


def test_absent_data_is_a_clean_message_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert pretrain_demo.main(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "make assets" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
