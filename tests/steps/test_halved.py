"""Batches that do not fit are asked again in halves: nothing is lost, doubled or reordered, and other errors pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfuse.errors import UserError, out_of_memory
from transfuse.steps import Context
from transfuse.steps._halved import halved
from transfuse.store import Store

SPELLINGS = [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]


def asked(count: int, room: int, error: BaseException = SPELLINGS[0]) -> tuple[np.ndarray, dict, list[dict], list[int]]:
    """All rows through a machine that has room for so many at once."""
    events: list[dict] = []
    sizes: list[int] = []
    context = Context(Store(Path()), Path(), emit=lambda event, **more: events.append({"event": event, **more}))

    def ask(rows: np.ndarray) -> np.ndarray:
        if len(rows) > room:
            raise error
        sizes.append(len(rows))
        return 10 * rows

    found, note = halved(np.arange(count), 32, ask, context)
    return found, note, events, sizes


@given(st.integers(1, 200), st.integers(1, 40))
def test_every_row_is_answered_once_and_in_order_in_batches_that_fit(count: int, room: int):
    found, note, events, sizes = asked(count, room)
    assert found.tolist() == (10 * np.arange(count)).tolist()
    assert max(sizes) <= room
    assert sum(sizes) == count
    halvings = [event["halved_to"] for event in events if event["event"] == "out_of_memory"]
    assert note == ({"halved_to": halvings[-1]} if halvings else {})
    assert all(2 * later == earlier for earlier, later in zip([32, *halvings], halvings, strict=False))


@pytest.mark.parametrize("error", SPELLINGS)
def test_a_row_that_does_not_fit_alone_is_one_message(error: BaseException):
    with pytest.raises(UserError, match="single image"):
        asked(3, 0, error)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes"):
        asked(3, 0, RuntimeError("shapes do not fit"))
    assert not out_of_memory(RuntimeError("shapes do not fit"))
    assert not out_of_memory(OSError("Cannot allocate memory"))


def test_a_graphics_card_without_memory_is_known():
    import torch

    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
