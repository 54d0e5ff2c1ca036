"""A network is known by what it computes with: weights, own code, plain attributes."""

from __future__ import annotations

import copy
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from transfuse.source.behaviour import behaviour

MODULE = """
from torch import nn

SCALE = 2.0


def helper(x):
    return x * SCALE


def unused(x):
    return x - 1.0


class Net(nn.Module):
    def __init__(self, k=1.0, act=None):
        super().__init__()
        self.layer, self.k, self.act = nn.Linear(4, 3), k, act or (lambda x: x)

    def forward(self, x):
        return helper(self.layer(x.flatten(1))) * self.k
"""


def network(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str = MODULE, **given: object) -> nn.Module:
    (folder / "edited.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.modules.pop("edited", None)
    importlib.invalidate_caches()
    torch.manual_seed(0)
    return importlib.import_module("edited").Net(**given)


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    return network(tmp_path, monkeypatch)


def test_a_copy_and_the_same_module_made_again_are_the_same(first, tmp_path, monkeypatch):
    assert behaviour(copy.deepcopy(first)) == behaviour(first) == behaviour(network(tmp_path, monkeypatch))
    assert behaviour(first.train()) == behaviour(first.eval())
    # A comment, a docstring of the module, or a function that nobody calls, changes nothing.
    again = network(tmp_path, monkeypatch, MODULE.replace("x - 1.0", "x - 2.0") + "\n# more\n")
    assert behaviour(again) == behaviour(first)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* self.k", "* self.k * 1.5"),
        ("return x * SCALE", "return x + SCALE"),
        ("SCALE = 2.0", "SCALE = 3.0"),
        ("self.layer(x.flatten(1))", "self.layer(x.flatten(1).flip(1))"),
        ("k=1.0", "k=0.5"),
    ],
)
def test_an_edit_is_another_network(first, tmp_path, monkeypatch, old: str, new: str):
    assert old in MODULE
    assert behaviour(network(tmp_path, monkeypatch, MODULE.replace(old, new))) != behaviour(first)


def test_attributes_and_weights_are_told_apart(first, tmp_path, monkeypatch):
    assert behaviour(network(tmp_path, monkeypatch, k=2.0)) != behaviour(first)
    other = copy.deepcopy(first)
    with torch.no_grad():
        other.layer.weight += 1.0
    assert behaviour(other) != behaviour(first)


@pytest.mark.parametrize("values", [({"a": 1}, {"a": 2}), ((lambda x: x), (lambda x: x + 1)), ({1, 2}, {1, 3})])
def test_dicts_sets_and_functions_that_a_layer_keeps_count(first, values):
    one, two = copy.deepcopy(first), copy.deepcopy(first)
    one.extra, two.extra = values
    assert behaviour(one) != behaviour(two)
    two.extra = one.extra
    assert behaviour(one) == behaviour(two)


def test_another_process_sees_the_same_network(tmp_path):
    """Sets of words have another order in every process, those that stand in the code too."""
    text = MODULE.replace("return helper", "assert x.device.type in {'cpu', 'cuda', 'mps'}\n        return helper")
    text = text.replace("self.k, self.act", "self.words, self.k, self.act")
    text = text.replace("nn.Linear(4, 3), k", "nn.Linear(4, 3), {'a', 'b', 'c', 'd'}, k")
    (tmp_path / "edited.py").write_text(text, encoding="utf-8")
    code = (
        "import torch, edited; from transfuse.source.behaviour import behaviour;"
        "torch.manual_seed(0); print(behaviour(edited.Net()))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True, timeout=100,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1


def test_layers_of_installed_packages_are_known_by_their_settings():
    torch.manual_seed(0)
    one, two = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)), nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3))
    two.load_state_dict(one.state_dict())
    assert behaviour(one) != behaviour(two)
