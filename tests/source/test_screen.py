"""Planted damage is told by tensor and unit; sound networks, fresh ones and merged ones are told nothing of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from transfuse.doors.inspecting import inspected
from transfuse.fusion.lineage import lone
from transfuse.source.open import make_card
from transfuse.source.screen import SHOWN, screen, screened, told
from transfuse.source.weights import FileReader

ASSETS = Path(__file__).parents[2] / "assets"


def layer(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, (32, 16, 3, 3)).astype(np.float32)


def loud(x: np.ndarray) -> None:
    x[7] *= 100


def one_weight(x: np.ndarray) -> None:
    x[3, 2, 1, 1] = 60.0


def half_dead(x: np.ndarray) -> None:
    x[::2] = 0


def all_dead(x: np.ndarray) -> None:
    x[:] = 0


def same(x: np.ndarray) -> None:
    x[:] = 0.5


def torn(x: np.ndarray) -> None:
    x[1, 1, 1, 1] = np.nan


def endless(x: np.ndarray) -> None:
    x[1, 1, 1, 1] = np.inf


PLANTED = [
    (loud, "unit 7 of 'conv' is"), (one_weight, "times as large"), (half_dead, "16 of 32 units of 'conv' are zero"),
    (all_dead, "32 of 32 units"), (same, "all weights of 'conv' are the same"), (torn, "'conv' holds NaN"),
    (endless, "'conv' holds infinity"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "says"), PLANTED)
@pytest.mark.parametrize("seed", range(3))
def test_planted_damage_is_told(change, says, seed: int):
    array = layer(seed)
    assert screen([("conv", array)]) == []
    change(array)
    found = screen([("other", layer(seed + 9)), ("conv", array)])
    assert len(found) == 1
    assert says in found[0]


def test_a_variance_below_zero_is_told():
    assert screen([("bn.running_var", np.array([1.0, -0.1], np.float32))]) == [
        "'bn.running_var' holds negative variances"
    ]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scale_of_a_whole_layer_is_nobodys_fault(scale: float):
    assert screen([("conv", layer() * np.float32(scale))]) == []


@pytest.mark.parametrize("name", ["residual", "vgg", "depthwise"])
def test_sound_and_fresh_networks_are_told_nothing_of(name: str):
    card = make_card(name, f"demo:{name}", root=Path(), canvas=16)
    fresh = make_card(name, f"demo:{name}@random", root=Path(), canvas=16)
    assert not [note for one in (card, fresh) for note in one.notes if "unusual" in note]


@pytest.mark.assets
@pytest.mark.parametrize("name", ["lite0", "lite1", "squeezenet"])
def test_real_networks_are_told_nothing_of(name: str):
    path = ASSETS / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip("needs `make assets`")
    assert screened(FileReader(path)) == []


def test_a_source_with_unusual_weights_says_so_on_its_card():
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)).eval()
    with torch.no_grad():
        net[0].weight[5] *= 1000
    notes = make_card("odd", net, root=Path(), canvas=16).notes
    assert any("unit 5 of '0.weight'" in note and "does not find a backdoor" in note for note in notes)


def test_inspect_tells_what_is_unusual_and_what_the_screen_cannot_see(tmp_path: Path):
    arrays = {"a.weight": layer(), "b.weight": layer(1)}
    save_file(arrays, tmp_path / "sound.safetensors")
    loud(arrays["b.weight"])
    save_file(arrays, tmp_path / "loud.safetensors")
    assert "screen: nothing unusual" in inspected([tmp_path / "sound.safetensors"], as_json=False)
    said = inspected([tmp_path / "loud.safetensors"], as_json=False)
    assert "screen: unit 7 of 'b.weight'" in said
    assert "does not find a backdoor" in said


def test_many_findings_are_counted():
    found = screen((f"t{index}", np.zeros((9, 2), np.float32)) for index in range(SHOWN + 3))
    assert told(found).endswith("and 3 more tensors")
    assert told([]) == ""


def pairs(**cosines: float) -> list:
    return [SimpleNamespace(first=name[0], second=name[1], cosine=cosine) for name, cosine in cosines.items()]


@pytest.mark.parametrize(
    ("cosines", "who"),
    [
        ({"ab": 0.99, "ac": 0.9, "bc": 0.9}, "c"),
        ({"ab": 0.2, "ac": 0.99, "bc": 0.21}, "b"),
        ({"ab": 0.9, "ac": 0.9, "bc": 0.9}, None),
        ({"ab": 0.98, "ac": 0.97, "bc": 0.96}, None),
        ({"ab": 0.1}, None),
        ({"ab": 1.0, "ac": 1.0, "bc": 1.0}, None),
        ({"ab": 0.99, "cd": 0.99, "ac": 0.1, "ad": 0.1, "bc": 0.1, "bd": 0.1}, None),
    ],
)
def test_one_that_stands_alone_is_named_and_none_where_there_is_none(cosines: dict[str, float], who: str | None):
    assert lone(pairs(**cosines)) == who
