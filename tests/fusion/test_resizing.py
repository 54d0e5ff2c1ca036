"""Networks of unequal widths through a plugin that lives outside the package, found by its entry point."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import transfuse
from transfuse import registry
from transfuse.errors import UserError
from transfuse.registry import shelf

PLUGIN = Path(__file__).parents[2] / "recipes" / "ot_fusion"


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """The plugin as an installer leaves it: a module on the path, and the entry points that its project declares."""
    declared = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shutil.copy(PLUGIN / "ot_fusion.py", tmp_path)
    information = tmp_path / "transfuse_ot_fusion-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {declared['name']}\nVersion: 0.1.0\n")
    lines = [
        f"[{group}]\n{name} = {value}" for group, of in declared["entry-points"].items() for name, value in of.items()
    ]
    (information / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    registry.shelf.cache_clear()
    yield shelf("fusion/align")["ot_fusion"]
    registry.shelf.cache_clear()
    sys.modules.pop("ot_fusion", None)


def network(first=4, second=6, third=5, seed=0):
    """A convolutional network with BatchNorm, a residual block, a flattened map and a hidden layer."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(1, first, 3, padding=1), nn.BatchNorm2d(first), nn.ReLU())
            self.block = nn.Sequential(nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.Conv2d(second, first, 1))
            self.hidden = nn.Linear(first * 16, third)
            self.head = nn.Linear(third, 3)

        def forward(self, x):
            x = self.stem(x)
            x = nn.functional.max_pool2d((x + self.block(x)).relu(), 2)
            return self.head(self.hidden(x.flatten(1)).relu())

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Net().eval()
        nn.init.normal_(made.stem[1].running_mean)
        nn.init.uniform_(made.stem[1].running_var, 0.5, 2.0)
    return made


def widened(small, order):
    """Every unit twice, its outgoing weights halved, in a shuffled order: the same function in twice the width."""
    large = network(8, 12, 10)
    rng = np.random.default_rng(order)
    first, second, third = (rng.permutation(np.repeat(np.arange(size), 2)) for size in (4, 6, 5))
    state = {name: value.clone() for name, value in small.state_dict().items()}
    places = torch.from_numpy((first[:, None] * 16 + np.arange(16)).reshape(-1))
    for name, rows in (
        ("stem.0", first),
        ("stem.1", first),
        ("block.0", second),
        ("block.2", first),
        ("hidden", third),
    ):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            if f"{name}.{leaf}" in state:
                state[f"{name}.{leaf}"] = state[f"{name}.{leaf}"][torch.from_numpy(rows)]
    for name, columns in (("block.0", first), ("block.2", second), ("hidden", places), ("head", third)):
        state[f"{name}.weight"] = state[f"{name}.weight"][:, torch.as_tensor(columns)] / 2
    large.load_state_dict(state)
    return large


IMAGES = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_the_plugin_is_found_by_its_entry_point_and_read_without_running_it(plugged):
    assert plugged.traits == {"resizes": True} and plugged.needs == ("activations",)
    assert "optimal transport" in plugged.law and "ot_fusion" not in sys.modules


@pytest.mark.parametrize("small_first", [True, False])
def test_a_widened_network_is_brought_back_to_what_it_was(plugged, small_first):
    small = network()
    large = widened(small, 3)
    assert torch.allclose(large(IMAGES), small(IMAGES), atol=1e-5)
    pair = [small, large] if small_first else [large, small]
    merged = transfuse.merge("weights/mean", pair, align="ot_fusion", data=[IMAGES])
    assert {n: v.shape for n, v in merged.state_dict().items()} == {n: v.shape for n, v in pair[0].state_dict().items()}
    # Running statistics are those of the images; both ends with theirs are what the merge must be.
    from transfuse.fusion.repair import re_estimate

    re_estimate(small, [IMAGES])
    assert torch.allclose(merged(IMAGES), small(IMAGES), atol=2e-5)


def test_the_larger_one_takes_part(plugged):
    small, large = network(), network(8, 12, 10, seed=1)
    merged = transfuse.merge("weights/mean", [small, large], align="ot_fusion", data=[IMAGES], weights=[0.0, 1.0])
    assert not torch.allclose(merged.hidden.weight, small.hidden.weight)
    assert bool(torch.isfinite(merged(IMAGES)).all())


def test_transport_is_the_linear_programme(plugged):
    from scipy.optimize import linprog

    cost = np.random.default_rng(0).random((4, 6))
    found = plugged.load().transport(cost)
    rows = [np.kron(np.eye(4)[k], np.ones(6)) for k in range(4)]
    columns = [np.kron(np.ones(4), np.eye(6)[k]) for k in range(6)]
    wanted = linprog(cost.ravel(), A_eq=np.array([*rows, *columns]), b_eq=[*[0.25] * 4, *[1 / 6] * 6])
    assert np.allclose(found.sum(axis=1), 0.25) and np.allclose(found.sum(axis=0), 1 / 6)
    assert (found * cost).sum() == pytest.approx(wanted.fun)
    with pytest.raises(UserError, match="common multiple"):
        plugged.load().transport(np.zeros((127, 128)))


def test_what_differs_in_more_than_widths_is_refused(plugged):
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
    with pytest.raises(UserError, match="(?s)more than their layers' widths.*joined differently"):
        transfuse.merge("weights/mean", [network(), other], align="ot_fusion", data=[IMAGES])
    with pytest.raises(UserError, match="'fisher' of a network of other widths"):
        transfuse.merge("weights/fisher", [network(), network(8, 12, 10)], align="ot_fusion", data=[IMAGES])


def test_without_such_a_lens_widths_are_refused_by_tensor():
    with pytest.raises(UserError, match=r"'stem.0.weight': \[4, 1, 3, 3\] in 'net1', \[8, 1, 3, 3\]"):
        transfuse.merge("weights/mean", [network(), network(8, 12, 10)])
