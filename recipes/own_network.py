"""Networks of one's own that recipes of this folder name, as `own_network:small` or `factory:own_network:mlp`."""

from __future__ import annotations

from torch import nn


def small(classes: int = 10) -> nn.Module:
    """Four convolutions, three of which halve the grid, with BatchNorm; it takes images in [0, 1] as they are."""
    layers: list[nn.Module] = []
    for entering, leaving, stride in ((3, 32, 2), (32, 48, 2), (48, 64, 1), (64, 96, 2)):
        layers += [nn.Conv2d(entering, leaving, 3, stride, 1, bias=False), nn.BatchNorm2d(leaving), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, classes))


def mlp() -> nn.Module:
    """784 numbers of one channel, six hidden layers of 512, ten classes: of `two-mlps.yaml`."""
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(784, 512), nn.ReLU()]
    for _ in range(5):
        layers += [nn.Linear(512, 512), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(512, 10))
