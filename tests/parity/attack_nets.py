"""The networks that attacks meet here and in another library: a small one, alone and behind broken defences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SIDE, CLASSES = 8, 10
DEFENCES = ("none", "rounded", "sharpened")


class Small(nn.Module):
    """Two convolutions and a linear layer on canvases [N, 3, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, padding=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(32 * 16, CLASSES),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x * 12).round() / 12

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return torch.zeros_like(grad)


class Defended(nn.Module):
    """`rounded`: few grey values and no slope (Guo et al., ICLR 2018); `sharpened`: logits times 10,000, so that the
    slope of the cross-entropy vanishes (what defensive distillation does; Carlini, Wagner, 2016)."""

    def __init__(self, inner: nn.Module, defence: str) -> None:
        super().__init__()
        self.inner, self.defence = inner, defence

    def forward(self, x: Tensor) -> Tensor:
        found = self.inner(_Rounded.apply(x) if self.defence == "rounded" else x)
        return found * 10_000 if self.defence == "sharpened" else found
