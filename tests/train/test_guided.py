"""The probe is scikit-learn's ridge, its choice is the lowest out-of-fold loss, and only training rows are asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from transfuse.errors import UserError
from transfuse.schedules import schedule
from transfuse.seeds import stream
from transfuse.train.augment import feature_sampling, guided
from transfuse.train.batches import Batch

NAMES = [name for name, _ in guided.WAYS]


def rows(count: int, columns: int, apart: float, seed: int = 0, classes: int = 3) -> Batch:
    """Two sources' features of normal classes."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    x = rng.normal(size=(count, columns)) + apart * np.eye(classes, columns)[targets]
    halves = torch.from_numpy(x.astype(np.float32)).split(columns // 2, dim=1)
    return Batch(np.arange(count), list(halves), torch.from_numpy(targets))


def test_the_probe_is_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    x, y, asked, wanted = (rng.normal(size=shape) for shape in ((12, 20), (12, 3), (5, 20), (5, 3)))
    found = guided.probe_error(*map(torch.from_numpy, (x, y, asked, wanted)))
    plain = (x - x.mean(axis=0)) / x.std(axis=0)
    for error, penalty in zip(found.tolist(), guided.PENALTIES, strict=True):
        ridge = Ridge(alpha=penalty * np.square(plain).sum(axis=1).mean()).fit(plain, y)
        said = ridge.predict((asked - x.mean(axis=0)) / x.std(axis=0))
        assert error == pytest.approx(np.square(said - wanted).sum(), rel=1e-8)


def test_the_way_with_the_lowest_loss_is_chosen_the_same_each_time_and_then_used() -> None:
    batch = rows(30, 24, 1.5)
    state = torch.get_rng_state()
    known, again = guided.survey(batch, 3), guided.survey(batch, 3)
    assert torch.equal(state, torch.get_rng_state())
    assert known.losses == again.losses
    assert len(known.losses) == len(NAMES)
    assert known.way == int(np.argmin(known.losses))
    changed = guided.augment(batch, stream(1), 3, known)
    if NAMES[known.way] == "feature_sampling":
        settings: Any = dict(guided.WAYS[known.way][1])
        wanted = feature_sampling.augment(batch, stream(1), 3, feature_sampling.survey(batch, 3), **settings)
        assert all(torch.equal(one, other) for one, other in zip(changed.inputs, wanted.inputs, strict=True))


def test_few_rows_in_many_columns_are_augmented_and_what_none_helps_is_left_alone() -> None:
    helped = [guided.survey(rows(18, 60, 2.0, seed), 3) for seed in range(3)]
    assert all(known.losses[known.way] < known.losses[0] for known in helped)
    batch = rows(18, 60, 2.0)
    assert guided.augment(batch, stream(0), 3, guided.Known(0, (0.1,), None)) is batch


def test_what_cannot_be_surveyed_loses_and_what_has_no_class_is_refused() -> None:
    alone = Batch(np.arange(3), [torch.eye(3)], torch.arange(3))
    known = guided.survey(alone, 3)
    assert all(np.isinf(loss) for name, loss in zip(NAMES, known.losses, strict=True) if name == "feature_sampling")
    single = Batch(np.arange(1), [torch.ones(1, 2)], torch.zeros(1, dtype=torch.long))
    assert NAMES[guided.survey(single, 2).way] == "none"
    with pytest.raises(UserError, match="one class"):
        guided.survey(Batch(np.arange(2), [torch.ones(2, 2)], torch.rand(2, 3)), 3)


def test_the_key_holds_the_files_that_it_runs() -> None:
    names = [entry.full_name for entry in schedule({"regime": "frozen", "augment": "guided"}, where="test").entries]
    assert names == [
        "train/objectives/supervised", "train/augment/guided", "train/augment/feature_mixup",
        "train/augment/feature_sampling",
    ]  # fmt: skip
