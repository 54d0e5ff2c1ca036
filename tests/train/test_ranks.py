"""A training divided over processes is that of one: parts of batches, gradients joined, refusals where it is not."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from transfuse.errors import UserError
from transfuse.schedules import Schedule
from transfuse.train.ranks import Ranks, here


@given(st.integers(1, 100), st.integers(1, 8))
def test_parts_are_the_batch_in_order_and_alike_in_size(size: int, count: int) -> None:
    rows = np.arange(size)
    parts = [Ranks(rank, count).part(rows) for rank in range(count)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


class Together:
    """Threads that stand for processes: what all of them hand in is summed."""

    def __init__(self, count: int) -> None:
        self.barrier = threading.Barrier(count)
        self.lock, self.sum = threading.Lock(), torch.zeros(())

    def all_reduce(self, tensor: torch.Tensor) -> None:
        with self.lock:
            self.sum = self.sum + tensor
        self.barrier.wait()
        tensor.copy_(self.sum)
        if not self.barrier.wait():
            self.sum = torch.zeros(())
        self.barrier.wait()


@pytest.mark.parametrize("count", [2, 3])
def test_joined_gradients_are_those_of_the_whole_batch(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", Together(count).all_reduce)
    rng = np.random.default_rng(0)
    x, y = torch.tensor(rng.normal(size=(7, 4))), torch.tensor(rng.integers(0, 3, 7))

    def gradient(rank: Ranks | None) -> list[torch.Tensor]:
        model = nn.Linear(4, 3).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.1)
        rows = np.arange(7) if rank is None else rank.part(np.arange(7))
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        if rank is not None:
            rank.join(list(model.parameters()), len(rows))
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    found: list[Any] = [None] * count

    def work(rank: int) -> None:
        found[rank] = gradient(Ranks(rank, count))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in found:
        for one, whole in zip(own, gradient(None), strict=True):
            torch.testing.assert_close(one, whole, rtol=1e-12, atol=1e-14)


def test_one_process_alone_changes_nothing() -> None:
    alone, model = here(), nn.Linear(2, 2)
    model.weight.grad = torch.ones(2, 2)
    alone.join(list(model.parameters()), 5)
    assert torch.equal(model.weight.grad, torch.ones(2, 2))
    assert alone.summed({"train": 2.0}) == {"train": 2.0}
    alone.check(Schedule(objective=(("dann", {}),)), nn.BatchNorm1d(2), np.arange(1))
    np.testing.assert_array_equal(alone.part(np.arange(3)), np.arange(3))


PLAIN = Schedule(batch=4)


@pytest.mark.parametrize(
    ("schedule", "model", "rows", "said"),
    [
        (replace(PLAIN, objective=(("coral", {}),)), nn.Linear(2, 2), 8, "mean over rows"),
        (replace(PLAIN, augment=(("mixup", {}),)), nn.Linear(2, 2), 8, "mean over rows"),
        (PLAIN, nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), 8, "BatchNorm"),
        (PLAIN, nn.Linear(2, 2), 6, "fewer rows"),
    ],
)
def test_what_would_be_another_training_is_refused(schedule: Schedule, model: nn.Module, rows: int, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        Ranks(0, 3).check(schedule, model, np.arange(rows))
    assert caught.value.where == "recipe, run.ranks"
    Ranks(0, 3).check(PLAIN, nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval()), np.arange(8))
