"""One thread for every test of this room, and the sources that several tests look at, built once."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest
import torch

from transfuse.source.base import Source
from transfuse.source.open import make_card, open_source
from transfuse.types import Card

CANVAS = 64
HERE = Path()


@functools.cache
def _card(spec: str) -> Card:
    return make_card("it", spec, root=HERE, canvas=CANVAS)


@functools.cache
def _source(spec: str) -> Source:
    return open_source(_card(spec), root=HERE)


@pytest.fixture(scope="session")
def card_of():
    """spec -> card at 64 pixels."""
    return _card


@pytest.fixture(scope="session")
def source_of():
    """spec -> a fresh source at 64 pixels."""

    def opened(spec: str) -> Source:
        return copy.deepcopy(_source(spec))

    return opened


@pytest.fixture
def canvas():
    """[2, 3, 64, 64] in [0, 1]."""
    return torch.rand(2, 3, CANVAS, CANVAS, generator=torch.Generator().manual_seed(0))
