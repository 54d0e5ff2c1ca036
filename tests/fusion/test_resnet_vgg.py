"""ResNet18 + VGG16, random weights: the pair this project began with trains end to end, and is fused once more."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

from transfuse.fusion.connect import connect
from transfuse.reads import Read
from transfuse.source.base import Source
from transfuse.source.open import make_card, open_source

CLASSES = ("cat", "dog")


@functools.cache
def source(name: str) -> Source:
    # Looking at the net at its native 224 px as well would take most of the test.
    card = make_card(name, f"torchvision:{name}@random", root=Path(), canvas=64, prepare={"size": 64})
    return open_source(card, root=Path())


@pytest.fixture
def pair():
    return {"resnet": source("resnet18"), "vgg": source("vgg16")}


@pytest.mark.parametrize(
    ("method", "taps", "settings"),
    [("features/concat", ("map", "map"), {}), ("structure/share", ("layer3", "map"), {"width": 16, "depth": 1})],
)
def test_a_training_step_reaches_both_and_the_result_is_fused_once_more(method, taps, settings, pair):
    reads = [Read(member, tap) for member, tap in zip(pair, taps, strict=True)]
    model = connect(method, pair, reads, CLASSES, settings=settings)
    canvas = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with torch.no_grad():
        model.crown.settle(model.eval().member_blocks(canvas))
    torch.nn.init.normal_(model.crown.head.weight, generator=torch.Generator().manual_seed(1))
    model.train()
    before = [part.weight.detach().clone() for part in early_and_new(model)]
    torch.nn.functional.cross_entropy(model(canvas), torch.tensor([0, 1])).backward()
    # Plain steps of one size for all: AdamW's moments would double the memory of VGG16.
    with torch.no_grad():
        for part in early_and_new(model):
            part.weight -= 0.1 * part.weight.grad
    after = [part.weight for part in early_and_new(model)]
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert canvas.grad is not None
    assert canvas.grad.abs().sum() > 0
    model.zero_grad(set_to_none=True)

    again = connect("features/gate", {"pair": model}, [Read("pair", "fused"), Read("pair", "vgg.map")], CLASSES).eval()
    blocks = again(canvas.detach(), ["fused", "pair.fused", "pair.vgg.map", "logits"])
    assert {tap: tuple(block.shape) for tap, block in blocks.items()} == {
        "fused": (2, 128),
        "pair.fused": (2, model.crown.width),
        "pair.vgg.map": (2, 512, 2, 2),
        "logits": (2, 2),
    }
    assert all(block.isfinite().all() for block in blocks.values())


def early_and_new(model):
    """The first convolution of each member, and the head."""
    return model.member("resnet").network.conv1, model.member("vgg").network.features[0], model.crown.head
