"""Layers that a library of the CPU miscomputes in one layout are run in the other, with the same numbers."""

from __future__ import annotations

import copy
import multiprocessing

import pytest
import torch
from torch import nn

from transfuse.source.layout import channels_first, guarded, laid_out


def pointwise(channels: int, stride: int = 2, **more) -> nn.Conv2d:
    return nn.Conv2d(channels, 15, 1, stride=stride, bias=False, **more)


def hooked(layer: nn.Module) -> int:
    return sum(hook is channels_first for hook in layer._forward_pre_hooks.values())


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (pointwise(7), 1),
        (pointwise(16), 0),
        (pointwise(7, stride=1), 0),
        (nn.Conv2d(7, 15, 3, stride=2), 0),
        (nn.Conv2d(5, 15, 1, stride=2, groups=5), 0),
    ],
)
def test_narrow_pointwise_layers_with_a_stride_are_guarded_once(layer, count):
    network = laid_out(nn.Sequential(layer))
    assert hooked(network[0]) == hooked(guarded(copy.deepcopy(network))[0]) == count


def test_values_stay_and_so_do_those_of_other_layouts():
    torch.manual_seed(0)
    layer, images = pointwise(7), torch.rand(4, 7, 6, 6)
    wanted = layer(images)
    found = laid_out(copy.deepcopy(layer))
    assert torch.equal(found.weight, layer.weight) and found.weight.stride() == (7, 1, 1, 1)
    assert torch.allclose(found(images.contiguous(memory_format=torch.channels_last)), wanted, atol=1e-6)
    assert set(found.state_dict()) == {"weight"}


def _gradients() -> None:
    torch.set_num_threads(1)
    layer = laid_out(pointwise(7))
    images = torch.rand(16, 7, 28, 28).contiguous(memory_format=torch.channels_last)
    for _ in range(6):
        layer.zero_grad()
        layer(images).square().mean().backward()
    exact = pointwise(7).double()
    exact.weight.data = layer.weight.data.double().clone()
    exact(images.double().contiguous()).square().mean().backward()
    assert torch.allclose(exact.weight.grad.float(), layer.weight.grad, atol=1e-6, rtol=1e-4)


def test_their_gradient_is_right_and_the_process_lives():
    """In a process of its own, since without the guard it dies of a corrupted heap on a processor with AVX2."""
    child = multiprocessing.get_context("fork").Process(target=_gradients)
    child.start()
    child.join(200)
    assert child.exitcode == 0
