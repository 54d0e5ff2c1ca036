"""What holds for every test: one thread a process, no waiting for what nobody looks at, no failing by a clock."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from haste import hasten

# Read when PyTorch is imported, here and in every process a test starts.
os.environ["OMP_NUM_THREADS"] = "1"

# Examples are counted, never timed: on a busy machine drawing them takes long, and says nothing of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def hastened() -> None:
    hasten()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Also where the test before asked for more, or a worker's step set its own number."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
