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
from transfuse.train.adamw import AdamW
from transfuse.train.ranks import Ranks, here


@given(st.integers(1, 100), st.integers(1, 8))
def test_parts_are_the_batch_in_order_and_alike_in_size(size: int, count: int) -> None:
    rows = np.arange(size)
    parts = [Ranks(rank, count).part(rows) for rank in range(count)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


class Together:
    """Threads that stand for processes: what all of them hand in is summed, or what one has is given to all."""

    def __init__(self, count: int) -> None:
        self.barrier = threading.Barrier(count)
        self.lock, self.sum = threading.Lock(), torch.zeros(())
        self.ranks: dict[int, int] = {}
        self.sent = torch.zeros(())

    def broadcast(self, tensor: torch.Tensor, src: int) -> None:
        if self.ranks[threading.get_ident()] == src:
            self.sent = tensor.clone()
        self.barrier.wait()
        tensor.copy_(self.sent)
        self.barrier.wait()

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
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: "gloo")
    rng = np.random.default_rng(0)
    x, y = torch.tensor(rng.normal(size=(7, 4))), torch.tensor(rng.integers(0, 3, 7))

    def gradient(rank: Ranks | None) -> list[torch.Tensor]:
        model = nn.Linear(4, 3).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.1)
        rows = np.arange(7) if rank is None else rank.part(np.arange(7))
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        (loss if rank is None else rank.weighed(loss, len(rows))).backward()
        if rank is not None:
            rank.join(list(model.parameters()))
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


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9), st.integers(1, 5))
def test_every_parameter_has_one_owner_and_neighbours_share_one(sizes: list[int], count: int) -> None:
    parameters = [nn.Parameter(torch.zeros(size)) for size in sizes]
    owners = [Ranks(rank, count).owners(parameters) for rank in range(count)]
    assert all(each == owners[0] for each in owners)
    found = list(owners[0].values())
    assert found == sorted(found) and len(found) == len(sizes) and set(found) <= set(range(count))
    held = [sum(size for size, owner in zip(sizes, found, strict=True) if owner == rank) for rank in range(count)]
    assert max(held) <= sum(sizes) / count + max(sizes)


@pytest.mark.parametrize("bucket", [1, 1 << 20])
def test_a_divided_optimiser_moves_everything_as_a_whole_one_does_and_knows_its_share(
    monkeypatch: pytest.MonkeyPatch, bucket: int
) -> None:
    """To the bit, with a layer that wakes late; each moment lies in one process."""
    both = Together(2)
    monkeypatch.setattr("transfuse.train.ranks.BUCKET", bucket)
    monkeypatch.setattr(torch.distributed, "broadcast", both.broadcast)

    def network() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 6), nn.Linear(6, 2))

    made = {rank: network() for rank in range(2)} | {None: network()}
    gradients = [[torch.randn(each.shape) for each in network().parameters()] for _ in range(4)]
    optimisers: dict[int | None, AdamW] = {}

    def work(rank: int | None) -> None:
        if rank is not None:
            both.ranks[threading.get_ident()] = rank
        groups = [{"params": list(made[rank].parameters()), "lr": 0.1}]
        ranks = None if rank is None else Ranks(rank, 2)
        optimisers[rank] = AdamW(groups, ranks, weight_decay=0.1)
        for step, drawn in enumerate(gradients):
            for parameter, gradient in zip(made[rank].parameters(), drawn, strict=True):
                parameter.grad = None if step < 2 and parameter.shape[0] == 7 else gradient.clone()
            optimisers[rank].step(1 / (1 + step))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work(None)
    for rank in range(2):
        for own, whole in zip(made[rank].parameters(), made[None].parameters(), strict=True):
            assert torch.equal(own, whole)
    known = [[each in optimisers[rank].state for each in made[rank].parameters()] for rank in range(2)]
    assert [a + b for a, b in zip(*known, strict=True)] == [1] * 6
    assert all(any(each) for each in known) and len(optimisers[None].state) == 6


def test_one_process_alone_changes_nothing() -> None:
    alone, model = here(), nn.Linear(2, 2)
    model.weight.grad = torch.ones(2, 2)
    alone.join(list(model.parameters()))
    assert torch.equal(model.weight.grad, torch.ones(2, 2))
    assert alone.weighed(model.weight.sum(), 5) == model.weight.sum()
    alone.shorten(list(model.parameters()), 1.0)
    torch.testing.assert_close(model.weight.grad, torch.full((2, 2), 0.5))
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
