"""A pruned network is its package's network in the shapes of its tensors."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.source.shrunk import shapes_of, take_shapes


def network(width: int, inner: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, groups=width),
        nn.ConvTranspose2d(width, inner, 2), nn.GroupNorm(1, inner), nn.Flatten(), nn.LayerNorm(inner * 25),
        nn.Linear(inner * 25, 4),
    )  # fmt: skip


def test_layers_take_the_shapes_and_compute_with_them():
    torch.manual_seed(0)
    large, small = network(8, 6).eval(), network(5, 2).eval()
    take_shapes(large, shapes_of(small), "here")
    large.load_state_dict(small.state_dict())
    images = torch.rand(2, 3, 6, 6)
    assert torch.equal(large(images), small(images))
    assert [(each.in_channels, each.out_channels, each.groups) for each in (large[0], large[2], large[3])] == [
        (3, 5, 1), (5, 5, 5), (5, 2, 1),
    ]  # fmt: skip


def test_the_same_shapes_change_nothing():
    torch.manual_seed(0)
    one = network(4, 2)
    before = dict(one.named_parameters())
    take_shapes(one, shapes_of(one), "here")
    assert all(before[name] is value for name, value in one.named_parameters())


@pytest.mark.parametrize("shape", [(9, 3, 3, 3), (0, 3, 3, 3), (4, 3, 3), (1 << 40, 3, 3, 3)])
def test_larger_empty_or_other_shapes_are_refused_before_anything_is_allocated(shape):
    with pytest.raises(UserError, match="not a smaller form"):
        take_shapes(network(8, 6), {"0.weight": shape}, "here")
