"""Cuts: front then tail is the whole, they share parameters, and where more values cross there is none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.source.open import make_card, open_source
from transfuse.source.trace import crossing, trace

CUTS = [
    ("torchvision:resnet18@random", ["relu", "layer2", "vector", "logits"]),
    ("demo:vgg", ["features.0", "map", "vector"]),
    ("torchvision:mobilenet_v3_small@random", ["features.4", "map", "vector"]),
    ("torchvision:densenet121@random", ["features.transition2", "map"]),
    ("torchvision:swin_t@random", ["features.3", "vector"]),
    ("timm:tf_efficientnet_lite0@random", ["blocks.2", "map", "vector"]),
    ("timm:vit_tiny_patch16_224@random", ["blocks.5", "tokens", "vector"]),
]


@pytest.mark.parametrize(("spec", "taps"), CUTS)
def test_front_then_tail_is_the_whole(source_of, canvas, spec, taps):
    source = source_of(spec)
    with torch.no_grad():
        whole = source(canvas)
        scale = whole.abs().max()
        for tap in taps:
            front, tail = source.cut(tap)
            block = front(canvas)
            kept = block.clone()
            assert (tail(block) - whole).abs().max() <= 1e-6 * max(scale, 1e-6)
            assert torch.equal(block, kept)
            assert torch.equal(block, source(canvas, [tap])[tap])


def test_inside_a_residual_block_the_crossing_values_are_named(source_of):
    source = source_of("torchvision:resnet18@random")
    with pytest.raises(UserError, match=r"(?s)cross.*layer1\.0\.conv1.*maxpool"):
        source.cut("layer1.0.conv1")
    traced = trace(source.network)
    assert len(crossing(traced, source.card.tap("layer1.0.conv1"))) == 2
    assert len(crossing(traced, source.card.tap("layer1"))) == 1


def test_an_average_cannot_be_cut(source_of):
    with pytest.raises(UserError, match="(?s)average.*cut at 'map'"):
        source_of("torchvision:squeezenet1_1@random").cut("vector")


def test_the_parts_share_the_parameters_and_what_is_frozen(source_of, canvas):
    source = source_of("torchvision:resnet18@random")
    source.freeze("layer2")
    front, tail = source.cut("layer3")
    own = {id(parameter) for parameter in source.parameters()}
    assert all(id(parameter) in own for part in (front, tail) for parameter in part.parameters())
    assert len({id(p) for part in (front, tail) for p in part.parameters()}) == len(own)
    front.train()
    assert not source.network.layer1[0].bn1.training
    assert source.network.layer3[0].bn1.training
    tail.train()
    tail(front(canvas)).sum().backward()
    assert source.network.fc.weight.grad is not None
    assert source.network.conv1.weight.grad is None


def test_gradients_flow_through_a_cut_at_a_value_that_is_overwritten(source_of, canvas):
    front, tail = source_of("torchvision:squeezenet1_1@random").cut("features.0")
    block = front(canvas).detach().requires_grad_()
    tail(block).sum().backward()
    assert block.grad is not None
    assert block.grad.abs().sum() > 0


class Branching(nn.Module):
    """Decides by value, which no fixed graph can follow."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        block = self.conv(images).mean((2, 3))
        return self.head(block if block.sum() > 0 else -block)


def test_a_network_that_cannot_be_traced_has_taps_but_no_cut(tmp_path, canvas):
    module = Branching()
    card = make_card("branching", module, root=tmp_path, canvas=64)
    assert not card.cuttable
    source = open_source(card, root=tmp_path, module=module)
    assert source(canvas, ["map"])["map"].shape == (2, 4, 62, 62)
    with pytest.raises(UserError, match="cannot be cut"):
        source.cut("map")


class Unnamed(nn.Module):
    """Changes a value in a statement whose result is dropped; a graph loses it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        block = self.conv(images)
        block.relu_()
        return self.head(block.mean((2, 3)))


def test_parts_that_do_not_compute_the_whole_are_refused(tmp_path):
    module = Unnamed()
    source = open_source(make_card("unnamed", module, root=tmp_path, canvas=32), root=tmp_path, module=module)
    with pytest.raises(UserError, match="do not compute what the whole does"):
        source.cut("conv")
