"""The straight way between two networks, and both definitions of the barrier on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.evaluation import temperature
from transfuse.fusion.path import entezari, frankle, walk


def network(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).eval()
        nn.init.uniform_(net[1].running_var, 0.5, 2.0)
    return net


def heat(scores, targets):
    return temperature.fit(scores, targets, "logit")


@pytest.fixture
def held():
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(size=(60, 4)).astype(np.float32)), rng.integers(0, 3, 60)


def test_both_barriers_of_a_known_curve():
    shares = np.array([0.0, 0.25, 0.5, 1.0])
    values = np.array([1.0, 3.0, 2.5, 2.0])
    assert entezari(shares, values) == 3.0 - 1.25
    assert frankle(values) == 3.0 - 1.5
    assert entezari(shares, 1 + shares) == 0.0 and frankle(1 + shares) == 0.5


def test_the_ends_of_the_way_are_the_networks(held):
    first, second = network(1), network(2)
    found = walk(network(0), first, second, held, [held[0]], fit_temperature=heat, points=5)
    for place, end in ((0, first), (-1, second)):
        wanted = torch.nn.functional.cross_entropy(end(held[0]), torch.from_numpy(held[1]), reduction="none")
        assert np.allclose(found.losses["as merged"][place], wanted.detach().numpy(), atol=1e-6)
    assert found.losses["as merged"].shape == (5, 60)
    assert set(found.losses) == {v + t for v in ("as merged", "estimated anew") for t in ("", ", tempered")}


def test_a_fitted_temperature_is_never_worse_and_twelve_barriers_are_told(held):
    found = walk(network(0), network(1), network(2), held, [held[0]], fit_temperature=heat, points=4)
    plain, tempered = (found.losses[view].mean(axis=1) for view in ("as merged", "as merged, tempered"))
    assert (tempered <= plain + 1e-6).all()
    assert len(found.barriers()) == 12
    assert all(value >= 0 for name, value in found.barriers().items() if "Entezari" in name)


def test_a_network_and_itself_have_no_barrier(held):
    found = walk(network(0), network(1), network(1), held, [held[0]], fit_temperature=heat, points=3)
    assert all(abs(value) < 1e-9 for name, value in found.barriers().items() if name.startswith("as merged"))


def test_networks_of_two_shapes_have_no_way_between(held):
    with pytest.raises(UserError, match="no straight way"):
        walk(network(0), network(1), nn.Linear(4, 3), held, [held[0]], fit_temperature=heat)
