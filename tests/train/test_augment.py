"""Augmenting: inputs and targets change together, shares sum to one, and what was given stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from transfuse.errors import UserError
from transfuse.registry import shelf
from transfuse.seeds import stream
from transfuse.train.augment import SHELF, Augmenting, feature_sampling
from transfuse.train.batches import Batch
from transfuse.train.losses import mixable

ENTRIES = shelf(SHELF)
MIXING = [name for name in ENTRIES if "alpha" in ENTRIES[name].parameters]
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
    augmented = Augmenting([(name, entry.settings(settings))], CLASSES, lambda: before)
    return before, augmented(before, stream(seed, "augment"))


@pytest.mark.parametrize("name", ENTRIES)
def test_each_keeps_shapes_and_rows_and_gives_shares_of_classes(name: str) -> None:
    before, after = drawn(name)
    assert [each.shape for each in after.inputs] == [each.shape for each in before.inputs]
    np.testing.assert_array_equal(after.rows, before.rows)
    assert after.targets is not None
    shares = mixable(after.targets, CLASSES)
    assert shares.shape == (ROWS, CLASSES)
    assert bool((shares >= 0).all())
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(ROWS))


@pytest.mark.parametrize("name", ENTRIES)
def test_each_draws_from_its_stream_alone_and_changes_nothing_in_place(name: str) -> None:
    state = torch.get_rng_state().clone()
    before, after = drawn(name)
    again, other = drawn(name)[1], drawn(name, seed=1)[1]
    untouched = batch_for(str(ENTRIES[name].traits["on"]))
    assert all(torch.equal(a, b) for a, b in zip(before.inputs, untouched.inputs, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(after.inputs, again.inputs, strict=True))
    # A probe may choose to leave the rows as they are.
    assert name == "guided" or not torch.equal(after.inputs[0], other.inputs[0])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ENTRIES)
def test_rows_without_labels_stay_without(name: str) -> None:
    entry = ENTRIES[name]
    before = batch_for(str(entry.traits["on"]))
    bare = Batch(before.rows, before.inputs)
    assert Augmenting([(name, entry.settings({}))], CLASSES, lambda: before)(bare, stream(0)).targets is None


@pytest.mark.parametrize("name", MIXING)
def test_labels_are_mixed_in_the_shares_of_the_inputs(name: str) -> None:
    """Where all rows of a class look alike, the mean of an input tells the share of each of two classes."""
    entry = ENTRIES[name]
    on = str(entry.traits["on"])
    classes = torch.arange(ROWS) % 2
    shape = (ROWS, 3, SIDE, SIDE) if on == "canvas" else (ROWS, 3)
    inputs = [classes.float().reshape(-1, *[1] * (len(shape) - 1)).expand(shape).clone()]
    before = Batch(np.arange(ROWS), inputs, classes)
    after = Augmenting([(name, entry.settings({"alpha": 1.0}))], 2, lambda: before)(before, stream(3))
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


def features(rows: int, seed: int = 0) -> Batch:
    """Two sources that say the same of an item, so that what is drawn of one must be what is drawn of the other."""
    rng = np.random.default_rng(seed)
    classes = torch.arange(rows) % 3
    one = torch.from_numpy(rng.normal(size=(rows, 4)) @ rng.normal(size=(4, 4))).float() + 5.0 * classes[:, None]
    return Batch(np.arange(rows), [one, 2 * one], classes)


def test_sampled_features_have_their_classs_mean_and_the_covariance_within_classes() -> None:
    known_rows, many = features(60), features(6000)
    settings = {"share": 1.0, "spread": 1.0}
    drawn_rows = Augmenting([("feature_sampling", settings)], 3, lambda: known_rows)(many, stream(5))
    x, y = known_rows.inputs[0].numpy(), np.asarray(known_rows.targets)
    apart = x - np.stack([x[y == c].mean(axis=0) for c in range(3)])[y]
    within = apart.T @ apart / (60 - 3)
    got, classes = drawn_rows.inputs[0].numpy(), np.asarray(many.targets)
    for c in range(3):
        mine = got[classes == c]
        # 2,000 draws: the mean and the covariance are known to five standard errors.
        np.testing.assert_allclose(mine.mean(axis=0), x[y == c].mean(axis=0), atol=5 * np.sqrt(within.max() / 2000))
        np.testing.assert_allclose(np.cov(mine.T), within, atol=5 * within.max() * np.sqrt(2 / 2000))
    torch.testing.assert_close(drawn_rows.inputs[1], 2 * drawn_rows.inputs[0], rtol=1e-4, atol=1e-4)
    assert drawn_rows.targets is many.targets


def test_a_share_of_rows_is_drawn_and_the_rest_stays_to_the_bit() -> None:
    batch = features(400)
    settings = {"share": 0.25, "spread": 1.0}
    after = Augmenting([("feature_sampling", settings)], 3, lambda: batch)(batch, stream(0))
    kept = [(a == b).all(dim=1) for a, b in zip(after.inputs, batch.inputs, strict=True)]
    assert torch.equal(*kept)
    assert 0.68 < float(kept[0].float().mean()) < 0.82


def test_many_rows_are_stood_for_by_some_with_the_same_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = feature_sampling.survey(features(900), 3).apart[0]
    monkeypatch.setattr(feature_sampling, "MOST", 300)
    some = feature_sampling.survey(features(900), 3).apart[0]
    assert len(some) == 300
    torch.testing.assert_close(some.T @ some, whole.T @ whole, rtol=0.25, atol=0.5)


def test_where_no_class_has_two_rows_nothing_can_be_drawn() -> None:
    with pytest.raises(UserError, match="no class has two rows"):
        feature_sampling.survey(features(3), 3)
