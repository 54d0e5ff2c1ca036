"""Counted cost: exact on a layer done by hand, and only of what runs."""

from __future__ import annotations

import torch
from torch import nn

from transfuse.steps.count import forward_flops, step_flops, used_parameters


class Half(nn.Module):
    """Has a layer that is never reached."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(4, 3)
        self.idle = nn.Linear(4, 100)

    def forward(self, x):
        return self.used(x)


def test_a_linear_layer_costs_two_flops_per_weight():
    assert forward_flops(nn.Linear(4, 3), torch.ones(1, 4)) == 2 * 4 * 3


def test_training_it_costs_forward_and_the_gradient_of_its_weights():
    assert step_flops(nn.Linear(4, 3), torch.ones(1, 4)) == 2 * 2 * 4 * 3


def test_only_what_runs_is_counted():
    assert used_parameters(Half(), torch.ones(1, 4)) == 15


def test_a_network_twice_as_deep_costs_more():
    one, two = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    batch = torch.ones(1, 4)
    assert forward_flops(two, batch) == 2 * forward_flops(one, batch)
    assert step_flops(two, batch) > step_flops(one, batch)
