"""What holds for every test: one thread a process, and no waiting for what nobody looks at."""

from __future__ import annotations

import os
import sys

import pytest

from haste import hasten

# Read when PyTorch is imported, here and in every process a test starts.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def hastened() -> None:
    hasten()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Also where the test before asked for more, or a worker's step set its own number."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
