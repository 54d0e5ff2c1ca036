"""One thread for every test of this room, and small sources that several tests fuse, looked at once."""

from __future__ import annotations

import copy
import functools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from transfuse.source.base import Source
from transfuse.source.open import make_card, open_source

SIDE = 16


class Tiny(nn.Module):
    """Two convolutions with BatchNorm and dropout, then a linear classifier of three classes."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.late = nn.Sequential(nn.Conv2d(width, 2 * width, 3, stride, padding=1), nn.ReLU(), nn.Dropout(0.5))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(2 * width, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.late(self.early(images))))


@functools.cache
def _tiny(width: int, stride: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Tiny(width, stride).eval()


@functools.cache
def _source(name: str, width: int, stride: int, seed: int) -> Source:
    module = _tiny(width, stride, seed)
    return open_source(make_card(name, module, root=Path(), canvas=SIDE), root=Path(), module=module)


@pytest.fixture
def tiny():
    """name -> a fresh small source with its own weights; `width` and `stride` make it of another kind."""

    def made(name: str, *, width: int = 4, stride: int = 2, seed: int = 0) -> Source:
        return copy.deepcopy(_source(name, width, stride, seed))

    return made


@pytest.fixture
def members(tiny):
    """Two sources of different width and grid."""
    return {"wide": tiny("wide", width=6, stride=2, seed=1), "fine": tiny("fine", width=4, stride=1, seed=2)}


@pytest.fixture
def canvas():
    """[4, 3, 16, 16] in [0, 1]."""
    return torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def global_random_state():
    """() -> the states of Python's, numpy's and torch's global generators, to be compared."""

    def seen() -> tuple[object, ...]:
        keys = np.random.get_state()  # noqa: NPY002 only looked at
        return random.getstate(), keys[1].tolist(), keys[2:], torch.get_rng_state().tolist()

    return seen
