"""The nine architectures that the matrix is about, with random weights at 64 pixels, each built and looked at once."""

from __future__ import annotations

import functools
from pathlib import Path

import timm
import torch
import torchvision
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import EfficientNet, _efficientnet_conf
from torchvision.models.vgg import make_layers

from transfuse.source.base import Source
from transfuse.source.open import make_card, open_source

SIDE, CLASSES = 64, 5


def _vgg() -> nn.Module:
    """VGG16 with BatchNorm at a quarter of its width; its linear layers of 120 million numbers are left out."""
    widths = [16, 16, "M", 32, 32, "M", 64, 64, 64, "M", 128, 128, 128, "M", 128, 128, 128, "M"]
    network = torchvision.models.VGG(make_layers(widths, batch_norm=True), num_classes=CLASSES, init_weights=False)  # pyright: ignore
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    network.classifier = nn.Linear(128, CLASSES)  # pyright: ignore[reportAttributeAccessIssue]
    return network


def _densenet() -> nn.Module:
    """All 121 layers, each adding 8 channels instead of 32."""
    return torchvision.models.DenseNet(8, (6, 12, 24, 16), 16, num_classes=CLASSES)


def _efficientnet() -> nn.Module:
    """EfficientNet-B0 at a quarter of its width."""
    blocks, last = _efficientnet_conf("efficientnet_b0", width_mult=0.25, depth_mult=1.0)
    return EfficientNet(blocks, 0.2, num_classes=CLASSES, last_channel=last)


def _convnext() -> nn.Module:
    blocks = [
        CNBlockConfig(24, 48, 1),
        CNBlockConfig(48, 96, 1),
        CNBlockConfig(96, 128, 2),
        CNBlockConfig(128, None, 1),
    ]
    return ConvNeXt(blocks, num_classes=CLASSES)


def _swin() -> nn.Module:
    sizes = {"patch_size": [4, 4], "window_size": [4, 4], "embed_dim": 24}
    return torchvision.models.SwinTransformer(**sizes, depths=[2, 2, 2, 2], num_heads=[1, 2, 3, 4], num_classes=CLASSES)


BUILDERS = {
    "resnet18": lambda: torchvision.models.resnet18(num_classes=CLASSES),
    "vgg16_bn": _vgg,
    "mobilenetv3": lambda: torchvision.models.mobilenet_v3_small(num_classes=CLASSES),
    "densenet121": _densenet,
    "convnext": _convnext,
    "vit": lambda: timm.create_model("vit_tiny_patch16_224", img_size=SIDE, depth=4, num_classes=CLASSES),
    "swin": _swin,
    "efficientnet": _efficientnet,
    "squeezenet": lambda: torchvision.models.squeezenet1_1(num_classes=CLASSES),
}
ARCHITECTURES = tuple(BUILDERS)


@functools.cache
def network(name: str) -> nn.Module:
    """The network in evaluation mode; its draw depends on its name alone.

    Its BatchNorm has seen images once: with untouched statistics the signal of deep random networks dies on the way.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(name))
        made = BUILDERS[name]()
        norms = [layer for layer in made.modules() if isinstance(layer, nn.BatchNorm2d)]
        for layer in norms:
            layer.momentum = 1.0
        with torch.no_grad():
            made.train()(torch.randn(4, 3, SIDE, SIDE))
        for layer in norms:
            layer.momentum = 0.1
        return made.eval()


@functools.cache
def twin(name: str) -> nn.Module:
    """Another draw of the network, for what is loaded: one for all cells, which copy it before they fill it.

    A copy of it is the twin itself, since copying hundreds of modules costs more than what a cell computes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(name) + 100)
        made = BUILDERS[name]().eval()
    made.__dict__["__deepcopy__"] = lambda memo: made
    return made


@functools.cache
def source(name: str) -> Source:
    """The source, shared by all cells: these change nothing of it."""
    module = network(name)
    prepare = {"size": SIDE, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    card = make_card(name, module, root=Path(), canvas=SIDE, prepare=prepare)
    return open_source(card, root=Path(), module=module)
