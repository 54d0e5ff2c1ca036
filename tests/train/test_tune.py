from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss as sklearn_log_loss
from torch import Tensor, nn

from transfuse.train import tune as module
from transfuse.train.held import log_loss
from transfuse.train.loop import DivergedError, fit, score
from transfuse.train.tune import Rows, Training, Tuned, tune

Blobs = tuple[np.ndarray, np.ndarray]
TRAIN = np.arange(30)
FOLDS = [(np.setdiff1d(TRAIN, held), held) for held in (TRAIN[0::3], TRAIN[1::3], TRAIN[2::3])]
LOCKED = Rows([(np.arange(25), np.arange(25, 40))], np.arange(40), final_fit=False)
CROSSED = Rows(FOLDS, TRAIN, final_fit=True)


@pytest.fixture
def training(lesson: Any, on_first: Any, blobs: Blobs) -> Any:
    """Changes of the schedule -> a training of a linear head on the three clouds."""

    def make(**changes: Any) -> Training:
        return Training(lambda rows: on_first(lambda: nn.Linear(5, 3)), lesson(*blobs, **changes))

    return make


def state(tuned: Tuned) -> Tensor:
    return torch.cat([value.flatten() for value in tuned.model.state_dict().values()])


def test_locked_the_rate_with_the_lowest_held_loss_is_kept(training: Any, on_first: Any) -> None:
    rates = (1e-5, 0.3, 1e-4)
    given_training = training(rates=rates, epochs=6)
    tuned = tune(given_training, LOCKED)
    (rows, held), found = LOCKED.fits[0], {}
    for rate in rates:
        found[rate] = fit(given_training.lesson, on_first(lambda: nn.Linear(5, 3)), rows, held=held, rate=rate)
    best = min(found, key=lambda rate: found[rate].loss)
    assert best == 0.3
    assert (tuned.rate, tuned.epoch) == (best, found[best].epoch)
    for name in ("epoch", "train", "held"):
        assert [point[name] for point in tuned.curve] == pytest.approx([point[name] for point in found[best].curve])
    (rows, held), last = LOCKED.fits[0], found[best].every[-1]
    assert tuned.curve[-1]["accuracy"] == (last.argmax(1) == given_training.lesson.targets[held]).mean()
    assert (tuned.trials, tuned.items) == (3, 3 * 6 * 25)
    np.testing.assert_array_equal(tuned.held_scores, found[best].scores)
    np.testing.assert_array_equal(score(given_training.lesson, tuned.model, held), tuned.held_scores)


@pytest.mark.parametrize("rows", [LOCKED, CROSSED])
def test_a_rate_that_diverges_loses(training: Any, rows: Rows) -> None:
    tuned = tune(training(rates=(1e39, 0.1)), rows)
    assert (tuned.rate, tuned.trials) == (0.1, 2)


def test_what_was_trained_in_vain_is_counted(training: Any, monkeypatch: Any) -> None:
    """Of two rates one diverges in the second of three folds alone: its whole first and third fold count as well."""
    plain = training(rates=(0.1,), epochs=4)
    kept = tune(plain, CROSSED)
    given = training(rates=(0.1, 0.2), epochs=4)
    real, marked = module.fit, int(CROSSED.fits[1][1][0])

    def failing(*args: Any, held: Any, rate: float, **more: Any) -> Any:
        if rate == 0.2 and held is not None and marked in held:
            raise DivergedError("too fast", 7)
        return real(*args, held=held, rate=rate, **more)

    monkeypatch.setattr(module, "fit", failing)
    tuned = tune(given, CROSSED)
    assert tuned.rate == kept.rate
    assert tuned.items == kept.items + 7 + 2 * 4 * 20
    with pytest.raises(DivergedError) as caught:
        tune(training(rates=(1e39, 2e39), epochs=4), LOCKED)
    assert caught.value.items >= 2 * 25


@pytest.mark.parametrize("rows", [LOCKED, CROSSED])
def test_only_if_all_rates_diverge_the_arm_is_given_up(training: Any, rows: Rows) -> None:
    with pytest.raises(DivergedError, match="learning rate 2e"):
        tune(training(rates=(1e39, 2e39)), rows)


def test_crossed_every_training_row_is_held_exactly_once(training: Any) -> None:
    tuned = tune(training(), CROSSED)
    assert sorted(tuned.held.tolist()) == TRAIN.tolist()
    assert tuned.held_scores.shape == (30, 3)


def test_crossed_rate_and_epoch_have_the_lowest_loss_over_all_held_rows(
    training: Any, on_first: Any, blobs: Blobs
) -> None:
    # Folds of unequal size, so that a mean of fold means would choose by other numbers.
    folds = [(np.setdiff1d(TRAIN, held), held) for held in (TRAIN[:4], TRAIN[4:10], TRAIN[10:])]
    given_training = training(rates=(0.03, 1.0, 0.3), epochs=6)
    tuned = tune(given_training, Rows(folds, TRAIN, final_fit=True))
    losses, items = {}, 0
    for rate in (0.03, 1.0, 0.3):
        fits = [
            fit(given_training.lesson, on_first(lambda: nn.Linear(5, 3)), rows, held=held, rate=rate)
            for rows, held in folds
        ]
        items += sum(fitted.items for fitted in fits)
        for epoch in range(6):
            scores = torch.from_numpy(np.concatenate([fitted.every[epoch] for fitted in fits])).double()
            losses[rate, epoch + 1] = sklearn_log_loss(blobs[1][TRAIN], torch.softmax(scores, dim=1).numpy())
    assert (tuned.rate, tuned.epoch) == min(losses, key=lambda choice: losses[choice])
    assert log_loss(tuned.held_scores, blobs[1][tuned.held]) == pytest.approx(min(losses.values()))
    assert (tuned.trials, tuned.items) == (3, items + 30 * tuned.epoch)


def test_crossed_the_final_network_learns_from_all_rows_for_the_chosen_time(training: Any, on_first: Any) -> None:
    given_training = training(rates=(0.1,), epochs=6)
    tuned = tune(given_training, CROSSED)
    again = on_first(lambda: nn.Linear(5, 3))
    fit(given_training.lesson, again, TRAIN, held=None, rate=0.1, stop_after=tuned.epoch)
    assert torch.equal(state(tuned), state(replace(tuned, model=again)))


def test_crossed_the_curve_is_the_mean_over_the_inner_folds(training: Any, on_first: Any, blobs: Blobs) -> None:
    given_training = training(rates=(0.1,), epochs=6)
    tuned = tune(given_training, CROSSED)
    losses = np.array(
        [[point["held"] for point in training_of(given_training, on_first, rows, held).curve] for rows, held in FOLDS]
    )
    expected = np.average(losses, axis=0, weights=[len(held) for _, held in FOLDS])
    assert [point["held"] for point in tuned.curve] == pytest.approx(expected)
    assert tuned.epoch == 1 + int(np.argmin(expected))


def training_of(given_training: Training, on_first: Any, rows: np.ndarray, held: np.ndarray) -> Any:
    return fit(given_training.lesson, on_first(lambda: nn.Linear(5, 3)), rows, held=held, rate=0.1)


def remembering(lesson: Any, on_first: Any, targets: np.ndarray) -> Training:
    """Each row has a feature of its own and weights start at zero: a score is zero unless its row was trained on."""

    def build(rows: np.ndarray) -> nn.Module:
        model = on_first(lambda: nn.Linear(len(targets), 3, bias=False))
        nn.init.zeros_(model.layers[0].weight)
        return model

    return Training(build, lesson(np.eye(len(targets)), targets))


def test_no_row_is_scored_by_a_network_that_saw_it(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    given_training = remembering(lesson, on_first, blobs[1])
    tuned = tune(given_training, CROSSED)
    assert not tuned.held_scores.any()
    assert score(given_training.lesson, tuned.model, TRAIN).any(axis=1).all()
    assert not score(given_training.lesson, tuned.model, np.arange(30, 40)).any()


def test_a_planted_leak_would_be_seen(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    leaking = [(np.append(rows, held[0]), held) for rows, held in FOLDS]
    tuned = tune(remembering(lesson, on_first, blobs[1]), Rows(leaking, TRAIN, final_fit=True))
    leaked = set(tuned.held[tuned.held_scores.any(axis=1)].tolist())
    assert leaked == {int(held[0]) for _, held in FOLDS}


def test_networks_are_built_anew_on_the_rows_they_learn_from(lesson: Any, on_first: Any, blobs: Blobs) -> None:
    built: list[list[int]] = []

    def build(rows: np.ndarray) -> nn.Module:
        built.append(rows.tolist())
        return on_first(lambda: nn.Linear(5, 3))

    tune(Training(build, lesson(*blobs, rates=(0.1, 0.2))), CROSSED)
    assert built == [rows.tolist() for rows, _ in FOLDS for _ in range(2)] + [TRAIN.tolist()]


@pytest.mark.parametrize("rows", [LOCKED, CROSSED])
def test_the_same_seed_gives_the_same_bits(training: Any, rows: Rows) -> None:
    before = torch.get_rng_state()
    first, second, other = (tune(training(seed=seed, rates=(0.1, 0.3)), rows) for seed in (1, 1, 2))
    assert torch.equal(state(first), state(second))
    np.testing.assert_array_equal(first.held_scores, second.held_scores)
    assert (first.rate, first.epoch, first.curve) == (second.rate, second.epoch, second.curve)
    assert not torch.equal(state(first), state(other))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_small_training_set_gets_its_least_steps(training: Any) -> None:
    tuned = tune(training(epochs=1, batch=8, least_steps=40, patience=100), LOCKED)
    assert len(tuned.curve) == 10
    assert tuned.items == 10 * 25
