"""FLOPs by PyTorch's formulas where these are right, and by hand where they are not."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from transfuse.steps._flops import counting
from transfuse.steps.count import forward_flops, step_flops


def theirs(network: nn.Module, batch: torch.Tensor) -> int:
    """A forward and backward pass, counted by PyTorch."""
    with FlopCounterMode(display=False) as counter:
        network(batch).sum().backward()
    return counter.get_total_flops()


NETWORKS = {
    "dense": (nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), (4, 6)),
    "convolutions": (nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)), (2, 3, 9, 9)),
    "transposed": (nn.ConvTranspose2d(3, 4, 3, stride=2), (2, 3, 5, 5)),
    "attention": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_costs_what_pytorch_counts(name):
    network, shape = NETWORKS[name]
    batch = torch.ones(shape)
    assert step_flops(network, batch) == theirs(network.eval(), batch) > 0


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_grouped_convolution_costs_what_its_groups_cost(groups):
    network = nn.Conv2d(6, 6, 3, padding=1, groups=groups)
    batch = torch.ones(2, 6, 8, 8, requires_grad=True)
    forward = 2 * 2 * 8 * 8 * 6 * (6 // groups) * 3 * 3
    assert forward_flops(network, batch.detach()) == forward
    assert step_flops(network, batch) == 3 * forward, "forward, gradient of the input, gradient of the weights"
    assert step_flops(network, batch.detach()) == 2 * forward, "no gradient of an input that asks for none"


def test_attention_costs_as_much_in_evaluation_as_in_training():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).requires_grad_(False)
    batch = torch.ones(2, 5, 8)
    projections, products, feed_forward = 4 * 8 * 8, 2 * 5 * 8, 2 * 8 * 16
    assert forward_flops(layer, batch) == 2 * 2 * 5 * (projections + products + feed_forward)
    assert torch.backends.mha.get_fastpath_enabled(), "fused kernels are back"


def test_a_failure_inside_leaves_no_mode_behind():
    with pytest.raises(RuntimeError), counting():
        torch.ones(2, 3) @ torch.ones(2, 3)
    with counting() as counter:
        torch.ones(2, 3) @ torch.ones(3, 1)
    assert counter.total == 2 * 2 * 3
    assert torch.backends.mha.get_fastpath_enabled()
