"""Without these the demo would have nothing to fuse: three small image classifiers of different design.

Each takes [N, 1, 28, 28] and gives logits [N, 10]. Each ends in global average pooling and one Linear, so its `vector`
is what the pooling gives; any input of at least 4 x 4 pixels works.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from transfuse.demo import NAMES
from transfuse.errors import unknown_name

CLASS_COUNT = 10

__all__ = ["CLASS_COUNT", "NAMES", "build"]


def build(name: str) -> nn.Module:
    """A demo network with random weights from torch's current generator, in training mode.

    Convolutions start as He et al. (2015) say, or the plain one among them would hardly learn.
    `residual`: 82,426 parameters, BatchNorm and skip connections (He et al., 2016). `vgg`: 115,938, plain 3x3
    convolutions (Simonyan & Zisserman, 2015). `depthwise`: 36,874, depthwise separable (Howard et al., 2017).
    Raises `UserError` for another name.
    """
    makers: dict[str, Callable[[], nn.Module]] = {"residual": _residual, "vgg": _vgg, "depthwise": _depthwise}
    if name not in makers:
        raise unknown_name("demo network", name, makers)
    network = makers[name]()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: [N, C, H, W] -> [N, D, H / stride, W / stride]."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_normalised(nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)),
            nn.ReLU(),
            *_normalised(nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)),
        )
        same = channels_in == channels_out and stride == 1
        projection = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
        self.shortcut = nn.Identity() if same else nn.Sequential(*_normalised(projection))
        self.activation = nn.ReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.activation(self.body(maps) + self.shortcut(maps))


def _normalised(convolution: nn.Conv2d) -> tuple[nn.Module, nn.Module]:
    return convolution, nn.BatchNorm2d(convolution.out_channels)


def _with_head(features: list[nn.Module], width: int) -> nn.Module:
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier = nn.Linear(width, CLASS_COUNT)
    parts = [("features", nn.Sequential(*features)), ("pool", pool), ("classifier", classifier)]
    return nn.Sequential(OrderedDict(parts))


def _residual() -> nn.Module:
    stem = [*_normalised(nn.Conv2d(1, 16, 3, padding=1, bias=False)), nn.ReLU()]
    shapes = [(16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 64, 2)]
    return _with_head([*stem, *(ResidualBlock(*shape) for shape in shapes)], 64)


def _vgg() -> nn.Module:
    layers: list[nn.Module] = []
    channels = 1
    for width in (24, 40, 80):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    # The last map is pooled by the head.
    return _with_head(layers[:-1], channels)


def _separable(channels_in: int, channels_out: int, stride: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(channels_in, channels_in, 3, stride, padding=1, groups=channels_in, bias=False)
    pointwise = nn.Conv2d(channels_in, channels_out, 1, bias=False)
    return [*_normalised(depthwise), nn.ReLU(), *_normalised(pointwise), nn.ReLU()]


def _depthwise() -> nn.Module:
    layers = [*_normalised(nn.Conv2d(1, 16, 3, padding=1, bias=False)), nn.ReLU()]
    for shape in [(16, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1)]:
        layers += _separable(*shape)
    return _with_head(layers, 128)
