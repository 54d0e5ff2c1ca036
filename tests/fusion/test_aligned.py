"""Networks brought into one order before they are merged: proven, with their statistics, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from transfuse.demo.networks import build
from transfuse.errors import UserError
from transfuse.fusion import aligned
from transfuse.fusion.aligned import align, aligning
from transfuse.fusion.statistics import activations, fisher, gram
from transfuse.fusion.turning import drawn, turned, turned_statistic
from transfuse.seeds import stream
from transfuse.source.hidden_units.groups import find_groups
from transfuse.source.weights import ArrayReader


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(8 * 36, 10), nn.ReLU(), nn.Linear(10, 3),
        ).eval()  # fmt: skip


def state_of(net):
    return {name: value.detach().numpy().copy() for name, value in net.state_dict().items()}


def filled(net, state):
    net.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.items()})
    return net


@pytest.fixture
def images():
    return torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def planted(images):
    """A network, its state, the same in another order, and the turn that was planted."""
    net = network()
    groups = find_groups(net, images)
    turn = drawn(groups, stream("planted"))
    state = state_of(net)
    return net, state, {name: turned(groups, turn, name, array) for name, array in state.items()}, groups, turn


@pytest.mark.parametrize("name", ["weight_matching", "activation_matching"])
def test_a_planted_order_is_undone_by_either_way(planted, images, name):
    net, state, moved, _, _ = planted
    stat = {
        "activations": {
            "a": activations.collect(net, [images], stream("s")),
            "b": activations.collect(filled(network(), moved), [images], stream("s")),
        }
    }
    readers = {"a": ArrayReader(state, "a"), "b": ArrayReader(moved, "b")}
    made = align(aligning(name), net, readers, images, stat=stat)
    found = {tensor: made.members["b"].read(tensor) for tensor in state}
    # Units that never fire are alike in what they do; weights tell them apart.
    wrong = [tensor for tensor in state if not np.array_equal(found[tensor], state[tensor])]
    assert wrong == [] or name == "activation_matching"
    with torch.no_grad():
        assert torch.allclose(filled(network(), found)(images), net(images), atol=1e-5)
    assert set(made.turns) == {"b"} and made.moved["b"] > 0.5


@pytest.mark.parametrize("need", ["fisher", "gram"])
def test_statistics_of_a_reordered_network_are_its_statistics_reordered(planted, images, need):
    net, _, moved, groups, turn = planted
    collect = {"fisher": fisher.collect, "gram": gram.collect}[need]
    before = collect(net, [images], stream("draws"))
    after = collect(filled(network(), moved), [images], stream("draws"))
    assert before.keys() == after.keys() and len(before) > 3
    for name, array in before.items():
        assert np.allclose(turned_statistic(groups, turn, need, name, array), after[name], rtol=1e-4, atol=1e-9)


def test_with_a_base_all_members_turn_towards_it(planted, images):
    net, state, moved, _, _ = planted
    readers = {"a": ArrayReader(moved, "a"), "b": ArrayReader(moved, "b")}
    made = align(aligning("weight_matching"), net, readers, images, base=ArrayReader(state, "base"))
    assert set(made.turns) == {"a", "b"}
    assert all(np.array_equal(made.members["a"].read(name), state[name]) for name in state)


def test_independent_networks_come_nearer_and_stay_what_they_are(images):
    first, second = (build("residual").eval() for _ in range(2))
    images = torch.rand(2, 1, 12, 12)
    readers = {str(k): ArrayReader(state_of(net), str(k)) for k, net in enumerate((first, second))}
    made = align(aligning("weight_matching"), first, readers, images)

    def likeness(reader):
        names = [name for name in reader.names() if name.endswith("weight")]
        return sum(float((reader.read(name) * readers["0"].read(name)).sum()) for name in names)

    assert likeness(made.members["1"]) > likeness(readers["1"])


def test_a_turn_that_changes_the_function_is_refused(planted, images, monkeypatch):
    net, state, moved, _, _ = planted
    real = aligned.TurnedReader.read
    monkeypatch.setattr(aligned.TurnedReader, "read", lambda self, name: real(self, name) * (1 + (name == "3.weight")))
    readers = {"a": ArrayReader(state, "a"), "b": ArrayReader(moved, "b")}
    with pytest.raises(UserError, match=r"(?s)computes something else.*'b'"):
        align(aligning("weight_matching"), net, readers, images)


def test_a_missing_statistic_and_an_unknown_way_are_refused(planted, images):
    net, state, moved, _, _ = planted
    readers = {"a": ArrayReader(state, "a"), "b": ArrayReader(moved, "b")}
    with pytest.raises(UserError, match="(?s)needs 'activations'.*none of a, b"):
        align(aligning("activation_matching"), net, readers, images)
    with pytest.raises(UserError, match="(?s)'weight_match'.*weight_matching"):
        aligning("weight_match")


def test_fisher_is_the_expected_square_of_the_score_of_a_softmax_layer():
    net = nn.Linear(3, 4, bias=False).eval()
    x = torch.randn(1, 3, generator=torch.Generator().manual_seed(1))
    found = fisher.collect(net, [x], stream("many"), draws=4000)["weight"]
    p = torch.softmax(net(x)[0].double(), dim=0).detach()
    wanted = (p * (1 - p))[:, None] * x.double().square()
    assert np.allclose(found, wanted.numpy(), rtol=0.1)


def test_gram_of_a_convolution_is_that_of_its_patches(images):
    conv = nn.Conv2d(1, 2, 3, padding=1)
    found = gram.collect(conv, [images], stream("g"))["weight"]
    patches = torch.nn.functional.unfold(images, 3, padding=1).transpose(1, 2).reshape(-1, 9).double()
    assert np.allclose(found, (patches.T @ patches / len(patches)).numpy())
    assert gram.collect(conv, [images], stream("g"), largest=8) == {}
