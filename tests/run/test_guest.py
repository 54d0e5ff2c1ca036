"""What computes in somebody's process leaves it as it was."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from transfuse.run import guest, worker
from transfuse.run.guest import as_found
from transfuse.store import Store


def state() -> list[object]:
    """All that is global in torch and in the sources of random numbers."""
    cudnn = torch.backends.cudnn
    return [
        torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
        torch.get_float32_matmul_precision(), cudnn.benchmark, cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        bytes(torch.get_rng_state().numpy()), random.getstate(),
        # The place in the row of numbers too: the row itself is new after 624 only.
        [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],  # noqa: NPY002
    ]  # fmt: skip


def disturb() -> None:
    """Change all of it."""
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, True
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.rand(3), random.random(), np.random.random()  # noqa: B018, NPY002, S311


@pytest.fixture(autouse=True)
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_everything_global_is_put_back_also_after_an_error():
    before = state()
    with as_found(1):
        assert torch.get_num_threads() == 1
        disturb()
        assert all(old != new for old, new in zip(before, state(), strict=True))
    assert state() == before
    with pytest.raises(ZeroDivisionError), as_found(1):
        disturb()
        raise ZeroDivisionError
    assert state() == before


@pytest.mark.parametrize("fails", [False, True])
def test_a_step_in_this_process_leaves_it_as_it_was(fails, monkeypatch, tmp_path):
    seen = []

    def run(params, inputs, context):
        seen.append(torch.get_num_threads())
        disturb()
        return (1 / 0 if fails else {}), {}

    step = SimpleNamespace(needs=("torch",), load=lambda: SimpleNamespace(run=run))
    monkeypatch.setattr(worker, "find", lambda *_: step)
    place = worker.Place(Store(tmp_path), Path(), "demo", "cpu", 1, None)
    before = state()
    try:
        worker.carry_out(worker.Job("fit a", "fit", "00key", {}, {}), place, lambda event, **details: None)
    except ZeroDivisionError:
        assert fails
    assert (state(), seen) == (before, [1])


@pytest.mark.parametrize("fails", [False, True])
def test_memory_is_kept_inside_and_as_usual_afterwards(fails, monkeypatch):
    told = {}
    monkeypatch.setattr(guest.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=told.__setitem__))
    with contextlib.suppress(ZeroDivisionError), guest.memory_kept():
        assert told == guest.KEPT
        _ = 1 / 0 if fails else 1
    assert told == guest.USUAL and guest.USUAL[guest.TRIM] < guest.KEPT[guest.TRIM]


def test_without_glibc_memory_is_as_it_is(monkeypatch):
    monkeypatch.setattr(guest.ctypes, "CDLL", lambda _: SimpleNamespace())
    with guest.memory_kept():
        pass
