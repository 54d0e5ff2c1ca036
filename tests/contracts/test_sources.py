"""Every adapter keeps every law of a source, the same for all; an absent package names the command that installs it."""

from __future__ import annotations

import copy
import functools
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from contracts.source_laws import LAWS, columns, images, texts
from source.onnx_files import PREPARE, SIDE, network, write
from source.text_folders import write_table
from transfuse.errors import MissingExtraError, UserError
from transfuse.registry import shelf
from transfuse.source.open import make_card, open_source

# Sources whose packages take seconds to import keep the same laws beside their own tests.
ELSEWHERE = {
    "keras": "tests/source/frameworks/test_keras.py",
    "hf": "tests/source/frameworks/test_hf.py",
    "tensorflow": "tests/source/frameworks/test_tensorflow.py",
}
CASES = {
    "demo": ("demo:residual", 28), "factory": ("factory:made_here:make", SIDE),
    "timm": ("timm:test_resnet@random?classes=3", 32),
    "file": ("file:w.safetensors?arch=timm:test_resnet&classes=3", 32), "module": ("", SIDE),
    "onnx": ("onnx:m.onnx", SIDE), "onnx, frozen": ("onnx:m.onnx?runtime=onnxruntime", SIDE),
    "static": ("static:words?tokens=12", 80), "columns": ("columns:*", 8),
    "torchvision": ("torchvision:squeezenet1_1@random?classes=3", 48),
}  # fmt: skip
MAKE = """
from torch import nn
def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """name -> a fresh source; each is opened from its spec once."""
    root = tmp_path_factory.mktemp("sources")
    write(root / "m.onnx", network())
    write_table(root / "words")
    (root / "made_here.py").write_text(MAKE)
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = timm.create_model("test_resnet", num_classes=3)
    save_file(net.state_dict(), root / "w.safetensors")

    @functools.cache
    def first(name: str):
        spec, side = CASES[name]
        module = network() if name == "module" else None
        prepare = {**PREPARE, "size": side} if name in ("onnx", "onnx, frozen", "file") else None
        prepare = {"age": "number", "place": ["sea", "wood"]} if name == "columns" else prepare
        card = make_card("it", spec if module is None else module, root=root, canvas=side, prepare=prepare)
        return open_source(card, root=root, module=module)

    return lambda name: copy.deepcopy(first(name))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", CASES)
def test_law(name, law, opened, tmp_path):
    source = opened(name)
    given = {"text": texts, "columns": columns}.get(source.card.field, lambda: images(CASES[name][1]))
    law(source, given(), tmp_path)


def test_every_adapter_is_held_to_the_laws():
    assert {name.split(",")[0] for name in CASES} | set(ELSEWHERE) == set(shelf("source/adapters"))
    root = Path(__file__).parents[2]
    assert all("LAWS" in (root / path).read_text() for path in ELSEWHERE.values())


def test_a_law_can_be_broken():
    """Planted: a network whose dropout does not hear of modes, and one whose rows know of each other."""

    class Deaf(nn.Module):
        def forward(self, x):
            return nn.functional.dropout(x, 0.5, training=True)

    class Together(nn.Module):
        def forward(self, x):
            return x - x.mean(0)

    for part, law in ((Deaf(), "evaluating_is_still"), (Together(), "rows_do_not_know_of_each_other")):
        sound, made = (nn.Sequential(*network()[:6], each, network()[6]) for each in (nn.Identity(), part))
        card = make_card("it", sound, root=Path(), canvas=SIDE)
        source = open_source(card, root=Path(), module=made)
        with pytest.raises(AssertionError):
            next(each for each in LAWS if each.__name__ == law)(source, images(SIDE), Path())
    # Whoever brings the last one is told before anything is computed.
    with pytest.raises(UserError, match="differently when it is alone"):
        make_card("it", nn.Sequential(*network()[:6], Together(), network()[6]), root=Path(), canvas=SIDE)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnx2pytorch"])
def test_an_absent_package_names_the_command_that_installs_it(package, tmp_path, monkeypatch):
    write(tmp_path / "m.onnx", network())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'transfuse\[onnx\]'"):
        make_card("it", "onnx:m.onnx", root=tmp_path, canvas=SIDE, prepare=PREPARE)
