from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.seeds import stream
from transfuse.train.adamw import AdamW
from transfuse.train.held import log_loss
from transfuse.train.loop import Lesson, fit, score

Blobs = tuple[np.ndarray, np.ndarray]


def by_hand(model: nn.Module, lesson: Lesson, rows: np.ndarray, rate: float, epochs: int) -> list[float]:
    """The same training, spelled out without the library: (epoch losses); changes the model."""
    plan = lesson.schedule
    flat = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    deep = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    optimiser = torch.optim.AdamW(
        [{"params": deep, "weight_decay": plan.weight_decay}, {"params": flat, "weight_decay": 0.0}]
    )
    chunks = [range(start, min(start + plan.batch, len(rows))) for start in range(0, len(rows), plan.batch)]
    steps, step = plan.epochs * len(chunks), 0
    rising = max(1, round(plan.warmup * steps))
    order, losses = stream(lesson.seed, "order"), []
    for _ in range(epochs):
        shuffled, total = order.permutation(rows), 0.0
        for chunk in chunks:
            chosen = shuffled[list(chunk)]
            risen = (step + 1) / rising
            fallen = 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))
            for group in optimiser.param_groups:
                group["lr"] = rate * (risen if step < rising else fallen)
            logits, wanted = model(lesson.feed.batch(chosen)), torch.from_numpy(lesson.targets[chosen])
            loss = functional.cross_entropy(logits, wanted, label_smoothing=plan.smoothing)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            step, total = step + 1, total + float(loss.detach()) * len(chosen)
        losses.append(total / len(rows))
    return losses


@pytest.mark.parametrize("stop_after", [None, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_training_is_what_a_plain_loop_does(
    lesson: Any, on_first: Any, blobs: Blobs, smoothing: float, stop_after: int | None
) -> None:
    given_lesson = lesson(*blobs, smoothing=smoothing, warmup=0.3)
    ours, theirs = on_first(lambda: nn.Linear(5, 3)), on_first(lambda: nn.Linear(5, 3))
    rows = np.arange(3, 33)
    fitted = fit(given_lesson, ours, rows, held=None, rate=0.1, stop_after=stop_after)
    losses = by_hand(theirs, given_lesson, rows, 0.1, stop_after or 4)
    # To rounding only: the optimiser's fused form rounds once where the plain one rounds twice.
    assert [point["train"] for point in fitted.curve] == pytest.approx(losses, rel=1e-5)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name], rtol=1e-4, atol=1e-6)
    assert (fitted.epoch, fitted.items, fitted.scores) == (stop_after or 4, 30 * (stop_after or 4), None)


class Scripted(nn.Module):
    """A network whose held loss in each epoch is written down beforehand; `epoch` is part of its state."""

    epoch: Tensor

    def __init__(self, script: Sequence[float]) -> None:
        super().__init__()
        self.script = list(script)
        self.weight = nn.Parameter(torch.zeros(1, 2))
        self.register_buffer("epoch", torch.tensor(0))

    def train(self, mode: bool = True) -> Scripted:
        if mode:
            self.epoch += 1
        return super().train(mode)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        if self.training:
            return blocks[0][:, :1] * self.weight
        loss = self.script[int(self.epoch) - 1]
        return torch.tensor([[0.0, math.log(math.expm1(loss))]]).repeat(len(blocks[0]), 1)


@pytest.mark.parametrize(
    ("script", "patience", "kept", "seen"),
    [
        ([3, 2, 1, 2, 2, 2, 2], 2, 3, 5),
        ([3, 2, 1, 2, 2, 0.5, 2], 3, 6, 7),
        ([1, 1, 1, 1, 1, 1, 1], 1, 1, 2),
        ([7, 6, 5, 4, 3, 2, 1], 1, 7, 7),
        ([1, 2, 3, 4, 5, 6, 7], 100, 1, 7),
    ],
)
def test_the_best_epoch_is_kept_and_patience_ends_the_rest(
    lesson: Any, script: list[float], patience: int, kept: int, seen: int
) -> None:
    heard: list[tuple[int, float | None]] = []
    given_lesson = lesson(np.ones((8, 1)), np.zeros(8, dtype=np.int64), epochs=7, patience=patience)
    given_lesson = replace(given_lesson, report=lambda epoch, train, held: heard.append((epoch, held)))
    model = Scripted(script)
    fitted = fit(given_lesson, model, np.arange(6), held=np.array([6, 7]), rate=1e-3)
    assert (fitted.epoch, len(fitted.curve), len(fitted.every), fitted.items) == (kept, seen, seen, 6 * seen)
    assert int(model.epoch) == kept
    assert fitted.loss == pytest.approx(script[kept - 1], rel=1e-5)
    assert fitted.scores is fitted.every[kept - 1]
    assert [epoch for epoch, _ in heard] == list(range(1, seen + 1))
    assert [held for _, held in heard] == pytest.approx(script[:seen], rel=1e-5)


def test_the_kept_scores_are_those_of_the_kept_network(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    given_lesson = lesson(*blobs, epochs=8)
    model, held = on_first(lambda: nn.Linear(5, 3)), np.arange(30, 40)
    fitted = fit(given_lesson, model, np.arange(30), held=held, rate=0.5)
    assert fitted.scores is not None
    np.testing.assert_array_equal(score(given_lesson, model, held), fitted.scores)
    assert fitted.loss == log_loss(fitted.scores, blobs[1][held]) == min(point["held"] for point in fitted.curve)


class Idle(nn.Module):
    """Two parameters that no loss depends on beside one that learns: only decay can move them."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
        self.members = nn.ModuleDict({"a": nn.Linear(5, 5)})
        self.head = nn.Linear(5, 3)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        return self.head(self.members["a"](blocks[0])) + 0 * (self.matrix.sum() + self.bias.sum())


def test_biases_do_not_decay_and_matrices_do(lesson: Any, blobs: Blobs) -> None:
    model = Idle()
    fit(lesson(*blobs), model, np.arange(40), held=None, rate=0.1)
    assert model.bias.tolist() == [1.0, 1.0]
    assert float(model.matrix.detach().max()) < 0.9


def test_members_learn_at_their_own_rate(lesson: Any, blobs: Blobs) -> None:
    model = Idle()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(lesson(*blobs, member_rate=0.0), model, np.arange(40), held=None, rate=0.1)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"matrix", "head.weight", "head.bias"}


def test_what_is_frozen_stays(lesson: Any, blobs: Blobs) -> None:
    model = Idle()
    model.members.requires_grad_(False)
    before = model.members["a"].weight.clone()
    fit(lesson(*blobs), model, np.arange(40), held=None, rate=0.1)
    assert torch.equal(model.members["a"].weight, before)


class Noting:
    """A feed that notes which rows it was asked for."""

    def __init__(self, feed: Any) -> None:
        self.feed, self.asked = feed, []

    def batch(self, rows: np.ndarray) -> list[Tensor]:
        self.asked.append(rows.tolist())
        return self.feed.batch(rows)


@pytest.mark.parametrize(("count", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (5, [5]), (3, [3]), (1, [1])])
def test_a_last_batch_of_one_row_joins_its_neighbour(
    lesson: Any, on_first: Any, blobs: Blobs, count: int, sizes: list[int]
) -> None:
    noting = Noting(lesson(*blobs).feed)
    given_lesson = replace(lesson(*blobs, epochs=2), feed=noting)
    rows = np.arange(10, 10 + count)
    fit(given_lesson, on_first(lambda: nn.Linear(5, 3)), rows, held=None, rate=0.01)
    assert [len(batch) for batch in noting.asked] == sizes * 2
    epochs = [sum(noting.asked[: len(sizes)], []), sum(noting.asked[len(sizes) :], [])]
    assert [sorted(epoch) for epoch in epochs] == [rows.tolist()] * 2
    assert count < 5 or epochs[0] != epochs[1]


def test_batch_statistics_survive_an_odd_row(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    model = on_first(lambda: nn.BatchNorm1d(5), lambda: nn.Linear(5, 3))
    assert math.isfinite(fit(lesson(*blobs), model, np.arange(9), held=np.arange(9, 12), rate=0.01).loss)


def test_the_rate_ends_at_zero_even_when_batches_were_joined(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    rates: list[float] = []
    real = AdamW.step

    def step(self: AdamW, share: float) -> None:
        rates.append(self.param_groups[0]["lr"] * share)
        real(self, share)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AdamW, "step", step)
        fit(lesson(*blobs, epochs=10, warmup=0.2), on_first(lambda: nn.Linear(5, 3)), np.arange(9), held=None, rate=1.0)
    assert len(rates) == 20
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4:] == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 16)) for step in range(16)])


DROPPING = (lambda: nn.Linear(5, 16), lambda: nn.Dropout(0.5), lambda: nn.Linear(16, 3))


def test_the_same_seed_gives_the_same_bits_whatever_ran_before(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    def run(seed: int) -> Tensor:
        model = on_first(*DROPPING)
        fit(lesson(*blobs, seed=seed), model, np.arange(40), held=None, rate=0.1)
        return torch.cat([value.flatten() for value in model.state_dict().values()])

    first = run(1)
    torch.rand(5)
    assert torch.equal(run(1), first)
    assert not torch.equal(run(2), first)


def test_training_leaves_the_global_random_state_alone(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    before, numpy_before = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    fit(lesson(*blobs), on_first(*DROPPING), np.arange(30), held=np.arange(30, 40), rate=0.1)
    assert torch.equal(torch.get_rng_state(), before)
    assert repr(np.random.get_state()) == numpy_before  # noqa: NPY002


def test_inputs_stay_as_they_are(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    rows, held = np.arange(30), np.arange(30, 40)
    given_lesson = lesson(*blobs)
    features = given_lesson.feed.blocks[0][0].copy()
    fit(given_lesson, on_first(lambda: nn.Linear(5, 3)), rows, held=held, rate=0.1)
    assert rows.tolist() == list(range(30))
    np.testing.assert_array_equal(given_lesson.feed.blocks[0][0], features)
