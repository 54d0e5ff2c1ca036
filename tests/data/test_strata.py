from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.data.draw import deal, draw
from transfuse.data.items import Items, table
from transfuse.data.prefix import prefix
from transfuse.data.split import partition
from transfuse.errors import UserError


def made(kind: str, count: int = 120, seed: int = 0, groups: int | None = None) -> Items:
    """Labels of very different frequency, or two skewed targets."""
    rng = np.random.default_rng(seed)
    ids = [f"i{row}" for row in range(count)]
    named = [f"g{row % groups}" for row in range(count)] if groups else None
    if kind == "multilabel":
        held = rng.random((count, 4)) < np.array([0.05, 0.2, 0.5, 0.9])
        held[0], held[1] = True, False
        labels = [tuple(name for name, flag in zip("abcd", row, strict=True) if flag) for row in held]
        return table(ids, labels, ids, groups=named, kind="multilabel", classes=tuple("abcd"))
    numbers = np.exp(rng.normal(size=(count, 2)))
    labels = [tuple(float(value) for value in row) for row in numbers]
    return table(ids, labels, ids, groups=named, kind="regression", classes=("mass", "age"))


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
@given(count=st.integers(1, 119), seed=st.integers(0, 50))
@settings(deadline=None, max_examples=10)
def test_a_draw_has_exactly_its_size(kind: str, count: int, seed: int) -> None:
    items = made(kind, seed=seed)
    rows = draw(items, np.arange(120), count, "x")
    assert len(rows) == len(set(rows.tolist())) == count


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_the_order_of_the_table_changes_nothing(kind: str) -> None:
    items = made(kind)
    turned = items.take(np.random.default_rng(1).permutation(120))
    first, second = (
        {each.ids[row] for row in draw(each, np.arange(120), 50, "x", leave=True)} for each in (items, turned)
    )
    assert first == second


def test_every_fold_has_its_share_of_every_label() -> None:
    items = made("multilabel")
    targets = items.targets()
    folds = deal(items, np.arange(120), 5, "x", where="here")
    assert sorted(np.concatenate(folds).tolist()) == list(range(120))
    assert {len(fold) for fold in folds} == {24}
    shares = np.array([targets[fold].sum(axis=0) for fold in folds])
    assert np.abs(shares - targets.sum(axis=0) / 5).max() < 1.5


def test_folds_of_a_regression_have_alike_means_where_chance_has_not() -> None:
    items = made("regression")
    targets = np.log(items.targets())
    folds = deal(items, np.arange(120), 5, "x", where="here")
    rng = np.random.default_rng(0)
    chance = np.std([targets[part].mean(axis=0) for part in np.array_split(rng.permutation(120), 5)], axis=0)
    assert (np.std([targets[fold].mean(axis=0) for fold in folds], axis=0) < chance).all()


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_groups_stay_whole_in_draws_and_folds(kind: str) -> None:
    items = made(kind, groups=30)
    assert items.groups is not None
    taken = draw(items, np.arange(120), 50, "x")
    assert 0 < len(taken) <= 50
    parts = [[*taken], *deal(items, np.arange(120), 5, "x", where="here")]
    for part in parts:
        inside = {items.groups[row] for row in part}
        assert sum(group in inside for group in items.groups) == len(part)


def test_what_is_left_behind_still_knows_every_label() -> None:
    items = made("multilabel")
    left = np.setdiff1d(np.arange(120), draw(items, np.arange(120), 110, "x", leave=True))
    assert items.targets()[left].any(axis=0).all()


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
@pytest.mark.parametrize("protocol", ["locked", "crossfit"])
def test_both_protocols_part_all_rows(kind: str, protocol: str) -> None:
    items = made(kind)
    splits = {"train": 40, "val": 20, "test": 30} if protocol == "locked" else None
    parts = partition(items, splits=splits, protocol=protocol, seeds=2)
    for run in parts.runs:
        known = {*run.train.tolist(), *run.calibrate.tolist(), *(row for fit in run.fits for row in fit.held.tolist())}
        assert not known & set(run.judge.tolist())
    if protocol == "locked":
        assert [len(run.train) for run in parts.runs] == [40, 40]
        assert not np.array_equal(parts.runs[0].train, parts.runs[1].train)
    smaller = prefix(items, parts.runs[0].train, 0.5)
    assert set(smaller.tolist()) <= set(parts.runs[0].train.tolist())


def test_drawing_per_class_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="no classes to draw from"):
        partition(made("regression"), splits={"per_class": 5, "test": 20}, protocol="locked")


def test_labels_and_targets_that_never_change_are_one_message() -> None:
    ids = [f"i{row}" for row in range(30)]
    numbers = table(ids, [(float(row), 2.5) for row in range(30)], ids, kind="regression", classes=("mass", "flat"))
    with pytest.raises(UserError, match=r"target 'flat' is 2.5 in all rows"):
        partition(numbers)
    held = [("b",) if row % 2 else ("b", "a") for row in range(30)]
    with pytest.raises(UserError, match=r"(?s)label 'b' always holds.*label 'c' never holds"):
        partition(table(ids, held, ids, kind="multilabel", classes=("a", "b", "c")))
