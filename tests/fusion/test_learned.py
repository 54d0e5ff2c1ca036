"""Learned coefficients: a blend is the merge it says, and certainty moves the weights to where it lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from transfuse.choosers.adamerging import entropy, learn
from transfuse.errors import UserError
from transfuse.fusion.learned import Blend
from transfuse.fusion.weights_lift import merge_states
from transfuse.registry import method


def network(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()


NETS = [network(seed) for seed in range(3)]
X = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["mean", "task_arithmetic", "ties"])
def test_a_blend_is_the_merge_at_its_coefficients(name):
    entry = method(f"weights/{name}")
    blend = Blend(entry, network(0), [net.state_dict() for net in NETS[:2]], NETS[2].state_dict())
    with torch.no_grad():
        blend.coefficients.copy_(torch.tensor([[0.7, 0.3]]))
    states = {str(k): {n: v.numpy() for n, v in net.state_dict().items()} for k, net in enumerate(NETS[:2])}
    base = {n: v.numpy() for n, v in NETS[2].state_dict().items()} if entry.traits["needs_base"] else None
    settings = {"trim_scope": "tensor"} if name == "ties" else {}
    wanted = merge_states(entry, states, weights=[0.7, 0.3], base=base, settings=settings)
    found = blend.merged()
    for tensor in blend.moved:
        assert np.allclose(found[tensor].detach().numpy(), wanted[tensor], atol=1e-6)


def test_only_coefficients_learn_and_layers_have_their_own():
    blend = Blend(
        method("weights/mean"), network(0), [net.state_dict() for net in NETS], layer_of=lambda name: name.split(".")[0]
    )
    assert [name for name, value in blend.named_parameters() if value.requires_grad] == ["coefficients"]
    assert blend.coefficients.shape == (3, 3)
    entropy(blend(X)).backward()
    assert blend.coefficients.grad is not None and bool((blend.coefficients.grad != 0).any(dim=1).all())


def test_certainty_moves_the_weights_to_the_certain_member():
    sure, unsure = network(1), network(1)
    with torch.no_grad():
        sure[3].weight.mul_(20.0)
    blend = Blend(
        method("weights/task_arithmetic"), network(0), [sure.state_dict(), unsure.state_dict()], NETS[0].state_dict()
    )
    found = learn(blend, [X[:16], X[16:]], 15, rate=0.02)
    assert found[-1] < 0.7 * found[0]
    assert blend.coefficients[0, 0] > blend.coefficients[0, 1]


def test_what_cannot_be_learned_is_refused():
    states = [net.state_dict() for net in NETS[:2]]
    with pytest.raises(UserError, match="weights/fisher cannot be learned"):
        Blend(method("weights/fisher"), network(0), states)
    with pytest.raises(UserError, match="a base"):
        Blend(method("weights/ties"), network(0), states)
