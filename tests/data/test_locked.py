"""The locked protocol: one test, one validation, and a new training sample for each seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.data.items import Items, table
from transfuse.data.split import Partition, partition
from transfuse.errors import UserError


def declared(train: int = 60, test: int = 30, **others: int) -> Items:
    """Three classes in turn, in rows of declared splits."""
    splits = [name for name, count in {"train": train, "test": test, **others}.items() for _ in range(count)]
    ids = [f"{split}/{row}" for row, split in enumerate(splits)]
    return table(ids, [f"c{row % 3}" for row in range(len(ids))], ids, splits=splits)


def sizes(made: Partition) -> tuple[int, int, int, int]:
    run = made.runs[0]
    return len(run.train), len(run.fits[0].held), len(run.calibrate), len(run.judge)


def names(items: Items, rows: np.ndarray) -> set[str]:
    return {items.splits[row] or "" for row in rows}


@settings(deadline=None, max_examples=25)
@given(train=st.integers(3, 30), val=st.integers(2, 20), test=st.integers(1, 30))
def test_numbers_are_met_from_the_declared_splits(train, val, test):
    items = declared()
    made = partition(items, splits={"train": train, "val": val, "test": test})
    assert sizes(made) == (train, val // 2, val - val // 2, test)
    for run in made.runs:
        assert names(items, run.judge) == {"test"}
        assert names(items, np.concatenate([run.train, run.calibrate, run.fits[0].held])) == {"train"}


def test_only_the_training_rows_move_with_the_seed():
    runs = partition(declared(), splits={"train": 20}, seeds=4).runs
    assert [run.name for run in runs] == ["s0", "s1", "s2", "s3"]
    assert len({tuple(run.train) for run in runs}) == 4
    for part in ("calibrate", "judge"):
        assert len({tuple(getattr(run, part)) for run in runs}) == 1
    assert len({tuple(run.fits[0].held) for run in runs}) == 1
    assert all(len(run.fits) == 1 and run.fits[0].fit is run.train for run in runs)


def test_more_seeds_do_not_change_the_first_ones():
    few, many = (partition(declared(), splits={"train": 20}, seeds=count).runs for count in (2, 5))
    for one, other in zip(few, many, strict=False):
        np.testing.assert_array_equal(one.train, other.train)


@pytest.mark.parametrize("train", [None, "all", "rest", 48, 1000])
def test_without_spare_rows_each_seed_draws_four_fifths(train):
    splits = {} if train is None else {"train": train}
    made = partition(declared(), splits={**splits, "val": 12})
    assert sizes(made)[0] == round(0.8 * 48)
    assert len({tuple(run.train) for run in made.runs}) == 5
    assert any("so that seeds differ" in note for note in made.notes) == isinstance(train, int)


def test_a_missing_validation_is_a_fifth_of_the_rest():
    made = partition(declared())
    assert sizes(made) == (round(0.8 * 48), 6, 6, 30)
    assert "no val split is declared" in made.notes[0]


def test_nothing_declared_draws_a_fifth_for_the_test_too():
    items = table([f"i{row}" for row in range(100)], ["a", "b"] * 50, ["d"] * 100)
    made = partition(items, protocol="locked")
    assert sizes(made) == (round(0.8 * 64), 8, 8, 20)


def test_declared_parts_are_used_whole():
    items = declared(val=12, cal=9)
    made = partition(items)
    run = made.runs[0]
    assert sizes(made) == (48, 12, 9, 30)
    assert names(items, run.calibrate) == {"cal"} and names(items, run.fits[0].held) == {"val"}


def test_declared_rows_never_change_their_part():
    items = declared(val=12)
    made = partition(items, splits={"test": 6, "val": 4, "train": "all"})
    assert names(items, np.concatenate([run.train for run in made.runs])) == {"train"}
    assert sizes(made) == (48, 2, 2, 6)


def test_undeclared_cal_can_be_drawn():
    assert sizes(partition(declared(), splits={"cal": 9, "val": 6, "train": 10})) == (10, 6, 9, 30)


def test_both_halves_of_the_validation_hold_every_class():
    items = declared()
    run = partition(items, splits={"val": 7}).runs[0]
    for rows in (run.fits[0].held, run.calibrate):
        assert set(items.targets()[rows].tolist()) == {0, 1, 2}


def test_a_class_once_in_the_validation_is_noted(make_items):
    items = make_items(
        ["a", "b"] * 20 + ["b", "a", "a", "b", "a"],
        splits=["train"] * 20 + ["test"] * 20 + ["val", "val", "val"] + ["cal"] * 2,
    )
    one_sided = partition(items.take([*range(40), 41, 42]))
    assert any(note == "no row in validation: class 'b'" for note in one_sided.notes)


def test_per_class_takes_so_many_of_each():
    items = declared()
    made = partition(items, splits={"per_class": 4, "val": 6})
    for run in made.runs:
        assert np.bincount(items.targets()[run.train]).tolist() == [4, 4, 4]
    assert len({tuple(run.train) for run in made.runs}) == 5
    with pytest.raises(UserError, match="fewer than 40 training rows"):
        partition(items, splits={"per_class": 40})


def test_whole_groups_are_drawn_and_the_difference_is_told():
    ids = [f"i{row}" for row in range(119)]
    groups = [f"g{row // 7}" for row in range(119)]
    items = table(ids, (["a", "b"] * 60)[:119], ids, groups=groups)
    made = partition(items, splits={"test": 30, "val": 30})
    assert sizes(made)[3] == 28
    assert "test: 30 rows asked, 28 drawn in whole groups" in made.notes
    run = made.runs[0]
    for one, other in ((run.train, run.fits[0].held), (run.train, run.calibrate), (run.fits[0].held, run.calibrate)):
        assert not {groups[row] for row in one} & {groups[row] for row in other}


def test_a_validation_of_one_group_is_halved_by_item():
    items = declared(val=12)
    items = table(items.ids, items.labels, items.digests, splits=items.splits, groups=[s or "" for s in items.splits])
    made = partition(items)
    assert sizes(made)[1:3] == (6, 6)
    assert any("halved by item" in note for note in made.notes)


def test_a_class_only_in_the_test_is_named(make_items):
    labels = ["a", "b"] * 10 + ["a", "B"] * 5
    with pytest.raises(UserError, match="class 'B' occurs only in test"):
        partition(make_items(labels, splits=["train"] * 20 + ["test"] * 10))


def test_a_class_that_training_has_and_the_test_lacks_is_noted(make_items):
    made = partition(make_items(["a", "b"] * 20 + ["a"] * 5, splits=["train"] * 40 + ["test"] * 5))
    assert "no row in test: class 'b'" in made.notes


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"test": 31}, r"not enough rows for test[\s\S]*30 labelled rows in the declared split"),
        ({"val": 60}, "not enough rows for val"),
        ({"val": 1}, "one half is for choices"),
        ({"val": "all"}, "'val: all' needs a declared val split"),
        ({"train": 2}, "fewer than one a class"),
    ],
)
def test_sizes_that_cannot_be_met_are_one_clean_message(splits, message):
    with pytest.raises(UserError, match=message):
        partition(declared(), splits=splits)
