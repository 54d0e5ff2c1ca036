"""Partitions: no row judges what has seen it, under either protocol."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.data.items import Items, table
from transfuse.data.split import ENOUGH_TO_LOCK, Partition, partition
from transfuse.errors import UserError


def built(count: int, classes: int = 3, groups: int | None = None, seed: int = 0) -> Items:
    labels = [f"c{row % classes}" for row in range(count)]
    numbers = np.random.default_rng(seed).integers(0, groups, count) if groups else []
    names = [f"g{number}" for number in numbers] if groups else None
    return table([f"i{row}" for row in range(count)], labels, [f"d{row}" for row in range(count)], groups=names)


def sides(run) -> tuple[set[int], set[int]]:
    learning = [run.train, run.calibrate, *(part for fit in run.fits for part in (fit.fit, fit.held))]
    return set(np.concatenate(learning).tolist()), set(run.judge.tolist())


@settings(deadline=None, max_examples=15)
@given(count=st.integers(45, 90), groups=st.sampled_from([None, 20]), locked=st.booleans(), seed=st.integers(0, 9))
def test_judged_rows_and_their_groups_are_never_seen(count, groups, locked, seed):
    items = built(count, groups=groups, seed=seed)
    made = partition(items, protocol="locked" if locked else "crossfit", folds=3, inner=2)
    for run in made.runs:
        learning, judged = sides(run)
        assert judged
        assert not learning & judged
        if items.groups:
            assert not {items.groups[row] for row in learning} & {items.groups[row] for row in judged}
        for fit in run.fits:
            assert not set(fit.fit.tolist()) & set(fit.held.tolist())
            assert set(items.targets()[fit.fit].tolist()) == {0, 1, 2}


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 99), protocol=st.sampled_from(["locked", "crossfit"]))
def test_the_order_of_rows_changes_nothing(seed, protocol):
    items = built(60)
    again = items.take(np.random.default_rng(seed).permutation(60))
    named = []
    for one in (items, again):
        runs = partition(one, protocol=protocol).runs
        parts = [(run.train, run.calibrate, run.judge, *(fit.held for fit in run.fits)) for run in runs]
        named.append([[{one.ids[row] for row in rows} for rows in run] for run in parts])
    assert named[0] == named[1]


@pytest.mark.parametrize("protocol", ["locked", "crossfit"])
def test_json_brings_back_the_same_partition(protocol):
    made = partition(built(60), protocol=protocol)
    text = json.dumps(made.to_json(), sort_keys=True)
    again = Partition.from_json(json.loads(text))
    assert json.dumps(again.to_json(), sort_keys=True) == text
    assert again.runs[1].fits[0].fit.dtype == np.int64


def test_crossfit_judges_every_row_once():
    runs = partition(built(60)).runs
    assert [run.name for run in runs] == ["f0", "f1", "f2", "f3", "f4"]
    assert sorted(np.concatenate([run.judge for run in runs]).tolist()) == list(range(60))


@settings(deadline=None, max_examples=10)
@given(count=st.integers(45, 90), groups=st.sampled_from([None, 20]), repeats=st.integers(2, 4))
def test_every_repeat_judges_every_row_once_by_models_that_never_saw_it(count, groups, repeats):
    items = built(count, groups=groups)
    made = partition(items, protocol="crossfit", folds=3, inner=2, repeats=repeats)
    assert [run.name for run in made.runs] == [f"f{number}" for number in range(3 * repeats)]
    assert [run.repeat for run in made.runs] == [number // 3 for number in range(3 * repeats)]
    for repeat in range(repeats):
        judged = [run.judge for run in made.runs if run.repeat == repeat]
        assert sorted(np.concatenate(judged).tolist()) == list(range(count))
    for run in made.runs:
        learning, judged = sides(run)
        assert not learning & judged
        if items.groups:
            assert not {items.groups[row] for row in learning} & {items.groups[row] for row in judged}


def test_repeats_are_other_folds_and_leave_the_first_as_they_are():
    once, thrice = (partition(built(60), repeats=repeats) for repeats in (1, 3))
    assert json.dumps(once.to_json()) == json.dumps(partition(built(60)).to_json())
    assert thrice.to_json()["runs"][:5] == once.to_json()["runs"]
    assert "repeat" not in json.dumps(once.to_json())
    folds = [{tuple(run.judge.tolist()) for run in thrice.runs if run.repeat == repeat} for repeat in range(3)]
    assert not folds[0] & folds[1] and not folds[1] & folds[2]


def test_fewer_repeats_are_the_first_of_more():
    few, many = (partition(built(60), repeats=repeats).to_json()["runs"] for repeats in (2, 3))
    assert many[: len(few)] == few


def test_json_keeps_the_repeat():
    made = partition(built(60), repeats=2)
    again = Partition.from_json(json.loads(json.dumps(made.to_json())))
    assert [run.repeat for run in again.runs] == [0] * 5 + [1] * 5
    assert again.to_json() == made.to_json()


def test_a_locked_split_is_not_repeated():
    with pytest.raises(UserError, match=r"not repeated[\s\S]*seeds"):
        partition(built(60), protocol="locked", repeats=2)


@pytest.mark.parametrize(("groups", "possible"), [(3, True), (4, True), (2, False)])
def test_a_class_is_absent_from_what_is_learned_only_where_its_groups_force_it(make_items, groups, possible):
    labels = ["a", "b"] * 30 + ["rare"] * 12
    names = [f"g{row // 3}" for row in range(60)] + [f"r{row % groups}" for row in range(12)]
    items = make_items(labels, groups=names)
    if possible:
        runs = partition(items, protocol="crossfit", folds=3, inner=2, repeats=3).runs
        assert all("rare" in {labels[row] for row in fit.fit} for run in runs for fit in run.fits)
    else:
        with pytest.raises(UserError, match="class 'rare' stands in too few groups"):
            partition(items, protocol="crossfit", folds=3, inner=2)


def test_crossfit_calibrates_on_its_inner_out_of_fold_rows():
    for run in partition(built(60), inner=4).runs:
        assert len(run.fits) == 4
        np.testing.assert_array_equal(run.calibrate, run.train)
        np.testing.assert_array_equal(np.sort(np.concatenate([fit.held for fit in run.fits])), run.train)
        assert all(len(fit.fit) + len(fit.held) == len(run.train) for fit in run.fits)


def test_auto_locks_for_a_declared_test_or_enough_rows():
    small = built(60)
    declared = table(small.ids, small.labels, small.digests, splits=["train"] * 40 + ["test"] * 20)
    assert partition(small).protocol == "crossfit"
    assert partition(small, splits={"test": 10}).protocol == "locked"
    assert partition(declared).protocol == "locked"
    assert partition(built(ENOUGH_TO_LOCK - 1)).protocol == "crossfit"
    assert partition(built(ENOUGH_TO_LOCK)).protocol == "locked"


def test_unlabelled_rows_do_not_count_and_are_not_used():
    items = table([f"i{row}" for row in range(70)], ["a", "b"] * 20 + [None] * 30, ["d"] * 70)
    made = partition(items)
    assert made.protocol == "crossfit"
    assert max(row for run in made.runs for row in (*run.train, *run.judge)) == 39
    assert made.notes == ("30 unlabelled rows are not used",)


def test_crossfit_over_declared_splits_says_so(make_items):
    items = make_items(["a", "b"] * 20, splits=["train"] * 30 + ["test"] * 10, groups=["u", "v", "w", "x", "y"] * 8)
    made = partition(items, protocol="crossfit", folds=2, inner=2)
    assert "declared splits are not used" in made.notes[0]
    assert sum(len(run.judge) for run in made.runs) == 40


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"splits": {"tets": 5}}, r"unknown split 'tets'[\s\S]*try: test"),
        ({"splits": {"test": 0}}, "test must be"),
        ({"splits": {"test": True}}, "test must be"),
        ({"splits": {"test": 0.2}}, "test must be"),
        ({"splits": {"test": "rest"}}, "test must be"),
        ({"splits": {"test": 9, "train": "most"}}, "train must be a whole number ≥ 1 or 'all' or 'rest'"),
        ({"splits": {"test": 9, "train": 9, "per_class": 3}}, "both give a number"),
        ({"splits": {"val": 9}}, "cross-fitting uses all labelled rows"),
        ({"protocol": "lockd"}, r"unknown protocol[\s\S]*try: locked"),
        ({"folds": 1}, "folds must be a whole number ≥ 2"),
        ({"inner": 1.5}, "inner must be"),
        ({"seeds": 0}, "seeds must be"),
        ({"repeats": 0}, "repeats must be"),
        ({"repeats": True}, "repeats must be"),
        ({"folds": 30}, "fewer rows than the 30 folds"),
    ],
)
def test_wrong_settings_are_one_clean_message(wanted, message):
    with pytest.raises(UserError, match=message):
        partition(built(60), **wanted)


def test_fewer_than_two_classes_are_refused(make_items):
    with pytest.raises(UserError, match=r"two classes[\s\S]*only 'a'"):
        partition(make_items(["a"] * 9))
    with pytest.raises(UserError, match="no labelled row"):
        partition(make_items([None] * 9))


@pytest.mark.parametrize("split", ["train", "test"])
def test_declared_rows_without_label_are_named(make_items, split):
    labels = ["a", "b"] * 10 + [None]
    with pytest.raises(UserError, match=f"'i20' in {split}"):
        partition(make_items(labels, splits=["train"] * 10 + ["test"] * 10 + [split]))


@pytest.mark.parametrize("first", ["train", None])
def test_a_group_on_both_sides_of_a_declared_split_is_named(make_items, first):
    groups = [f"g{row}" for row in range(19)] + ["g0"]
    with pytest.raises(UserError, match="group 'g0' in train and test"):
        partition(make_items(["a", "b"] * 10, groups=groups, splits=[first] * 10 + ["test"] * 10))


def test_a_class_too_small_for_the_folds_is_named(make_items):
    with pytest.raises(UserError, match="'rare' has 4"):
        partition(make_items(["a"] * 30 + ["rare"] * 4))
