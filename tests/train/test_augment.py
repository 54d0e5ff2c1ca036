"""Mixing: inputs and targets change together, in shares that sum to one, and what was given stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from transfuse.registry import shelf
from transfuse.seeds import stream
from transfuse.train.augment._contract import SHELF, augmented
from transfuse.train.batches import Batch

ENTRIES = shelf(SHELF)
ROWS, CLASSES, SIDE = 24, 4, 8


def batch_for(on: str) -> Batch:
    """Inputs whose every number is the row's own, so that shares can be read off."""
    value = torch.arange(ROWS, dtype=torch.float32)
    canvas = (value / ROWS).reshape(-1, 1, 1, 1).expand(ROWS, 3, SIDE, SIDE).clone()
    blocks = [value.reshape(-1, 1).repeat(1, 3), value.reshape(-1, 1).repeat(1, 5)]
    inputs = [canvas] if on == "canvas" else blocks
    return Batch(np.arange(ROWS), inputs, torch.arange(ROWS) % CLASSES)


def drawn(name: str, seed: int = 0, **settings: Any) -> tuple[Batch, Batch]:
    entry = ENTRIES[name]
    before = batch_for(str(entry.traits["on"]))
    return before, augmented(before, [(name, entry.settings(settings))], stream(seed, "augment"), CLASSES)


@pytest.mark.parametrize("name", ENTRIES)
def test_each_keeps_shapes_and_rows_and_gives_shares_of_classes(name: str) -> None:
    before, after = drawn(name)
    assert [each.shape for each in after.inputs] == [each.shape for each in before.inputs]
    np.testing.assert_array_equal(after.rows, before.rows)
    assert after.targets is not None
    assert after.targets.shape == (ROWS, CLASSES)
    assert bool((after.targets >= 0).all())
    torch.testing.assert_close(after.targets.sum(dim=1), torch.ones(ROWS))


@pytest.mark.parametrize("name", ENTRIES)
def test_each_draws_from_its_stream_alone_and_changes_nothing_in_place(name: str) -> None:
    state = torch.get_rng_state().clone()
    before, after = drawn(name)
    again, other = drawn(name)[1], drawn(name, seed=1)[1]
    untouched = batch_for(str(ENTRIES[name].traits["on"]))
    assert all(torch.equal(a, b) for a, b in zip(before.inputs, untouched.inputs, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(after.inputs, again.inputs, strict=True))
    assert not torch.equal(after.inputs[0], other.inputs[0])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ENTRIES)
def test_rows_without_labels_stay_without(name: str) -> None:
    entry = ENTRIES[name]
    before = batch_for(str(entry.traits["on"]))
    bare = Batch(before.rows, before.inputs)
    assert augmented(bare, [(name, entry.settings({}))], stream(0), CLASSES).targets is None


@pytest.mark.parametrize("name", ENTRIES)
def test_labels_are_mixed_in_the_shares_of_the_inputs(name: str) -> None:
    """Where all rows of a class look alike, the mean of an input tells the share of each of two classes."""
    entry = ENTRIES[name]
    on = str(entry.traits["on"])
    classes = torch.arange(ROWS) % 2
    shape = (ROWS, 3, SIDE, SIDE) if on == "canvas" else (ROWS, 3)
    inputs = [classes.float().reshape(-1, *[1] * (len(shape) - 1)).expand(shape).clone()]
    after = augmented(Batch(np.arange(ROWS), inputs, classes), [(name, entry.settings({"alpha": 1.0}))], stream(3), 2)
    assert after.targets is not None
    torch.testing.assert_close(after.inputs[0].flatten(1).mean(dim=1), after.targets[:, 1])
    assert bool(((after.targets > 0.01) & (after.targets < 0.99)).any())


def test_mixup_has_one_share_a_batch_and_feature_mixup_one_an_item() -> None:
    _, image = drawn("mixup", alpha=5.0)
    assert image.targets is not None
    assert len(np.unique(image.targets.numpy().round(4))) <= 4
    _, features = drawn("feature_mixup", alpha=5.0)
    assert features.targets is not None
    assert len(np.unique(features.targets.numpy().round(4))) > 8
    assert torch.equal(features.inputs[0][:, 0], features.inputs[1][:, 0])


def test_cutmix_pastes_one_rectangle_of_pixels_as_they_are() -> None:
    before, after = drawn("cutmix", seed=2)
    changed = (after.inputs[0] != before.inputs[0]).any(dim=1)
    places = changed.any(dim=0).nonzero()
    (top, left), (bottom, right) = places.min(0).values.tolist(), places.max(0).values.tolist()
    assert bool(changed[changed.flatten(1).any(dim=1)][:, top : bottom + 1, left : right + 1].all())
    assert set(after.inputs[0].unique().tolist()) <= set(before.inputs[0].unique().tolist())


def test_a_large_alpha_mixes_halves_and_a_small_one_hardly() -> None:
    def farthest(alpha: float) -> float:
        targets = drawn("feature_mixup", alpha=alpha)[1].targets
        assert targets is not None
        return float((targets - functional.one_hot(torch.arange(ROWS) % CLASSES, CLASSES)).abs().max(1).values.mean())

    assert farthest(100.0) > 0.3
    assert farthest(0.01) < 0.4
