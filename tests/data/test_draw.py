"""Draws and folds: exact, stratified, tied to ids and never to the order of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.data.draw import deal, draw, draw_items, shuffled, take_per_class
from transfuse.data.items import Items, table
from transfuse.errors import UserError

LABELS = st.lists(st.sampled_from("abc"), min_size=6, max_size=60)


def built(labels, groups=None) -> Items:
    return table([f"i{row}" for row in range(len(labels))], labels, ["d"] * len(labels), groups=groups)


def all_rows(items: Items) -> np.ndarray:
    return np.arange(len(items))


def named(items: Items, rows: np.ndarray) -> set[str]:
    return {items.ids[row] for row in rows}


@settings(deadline=None, max_examples=40)
@given(labels=LABELS, data=st.data())
def test_a_draw_is_exact_proportional_and_without_repeats(labels, data):
    items = built(labels)
    count = data.draw(st.integers(len(items.classes), len(labels)))
    drawn = draw(items, all_rows(items), count, "s")
    assert len(set(drawn.tolist())) == count
    share = np.bincount(items.targets()) * count / len(labels)
    taken = np.bincount(items.targets()[drawn], minlength=len(items.classes))
    assert taken.min() >= 1
    assert np.all(np.abs(taken - share) < len(items.classes))


@settings(deadline=None, max_examples=40)
@given(labels=LABELS, seed=st.integers(0, 99))
def test_permuting_rows_draws_the_same_ids(labels, seed):
    groups = [f"g{row // 2}" for row in range(len(labels))]
    order = np.random.default_rng(seed).permutation(len(labels))
    for items in (built(labels), built(labels, groups)):
        again = items.take(order)
        rows, count = all_rows(items), len(labels) // 2
        assert named(items, draw(items, rows, count, "s")) == named(again, draw(again, rows, count, "s"))
        assert [items.ids[r] for r in shuffled(items, rows, 1)] == [again.ids[r] for r in shuffled(again, rows, 1)]


@settings(deadline=None, max_examples=40)
@given(labels=LABELS, data=st.data(), grouped=st.booleans())
def test_leaving_keeps_every_class_behind(labels, data, grouped):
    groups = [f"g{row // 3}" for row in range(len(labels))] if grouped else None
    items = built(labels, groups)
    drawn = draw(items, all_rows(items), data.draw(st.integers(1, len(labels))), "s", leave=True)
    rest = np.setdiff1d(all_rows(items), drawn)
    assert {items.labels[row] for row in rest} == set(items.classes)


@settings(deadline=None, max_examples=40)
@given(labels=LABELS, data=st.data())
def test_groups_are_drawn_whole_and_never_too_many(labels, data):
    groups = [data.draw(st.sampled_from("uvwxyz")) for _ in labels]
    items = built(labels, groups)
    count = data.draw(st.integers(1, len(labels)))
    drawn = draw(items, all_rows(items), count, "s")
    inside = {groups[row] for row in drawn}
    assert len(drawn) <= count
    assert all((groups[row] in inside) == (row in drawn) for row in range(len(labels)))


def test_groups_that_bring_a_new_class_come_first():
    labels = ["a"] * 40 + ["b"] * 2
    items = built(labels, [f"g{row // 2}" for row in range(42)])
    drawn = draw(items, all_rows(items), 6, "s")
    assert {items.labels[row] for row in drawn} == {"a", "b"}


def test_different_names_draw_differently():
    items = built(["a", "b"] * 50)
    draws = [tuple(draw(items, all_rows(items), 20, "train", f"s{seed}")) for seed in range(5)]
    assert len(set(draws)) == 5


def test_different_names_draw_different_groups():
    items = built(["a", "b"] * 50, [f"g{row // 2}" for row in range(100)])
    assert len({tuple(draw(items, all_rows(items), 20, name)) for name in "abcde"}) == 5


def test_a_larger_draw_holds_the_smaller_one():
    items = built(["a", "b"] * 50)
    small, large = (set(draw_items(items, all_rows(items), count, "s").tolist()) for count in (20, 40))
    assert small < large


def test_per_class_takes_so_many_of_each():
    items = built(["a"] * 9 + ["b"] * 5)
    taken = take_per_class(items, all_rows(items), [2, 3], "s")
    assert np.bincount(items.targets()[taken]).tolist() == [2, 3]


def test_more_than_there_is_gives_what_there_is():
    items = built(["a"] * 3 + ["b"])
    assert len(draw(items, all_rows(items), 100, "s")) == 4
    assert [items.labels[row] for row in draw(items, all_rows(items), 100, "s", leave=True)] == ["a", "a"]


@settings(deadline=None, max_examples=30)
@given(each=st.lists(st.integers(4, 15), min_size=2, max_size=4), count=st.integers(2, 4))
def test_folds_part_the_rows_and_spread_every_class(each, count):
    items = built([name for name, times in zip("abcd", each, strict=False) for _ in range(times)])
    folds = deal(items, all_rows(items), count, "s", where="test")
    assert sorted(np.concatenate(folds).tolist()) == list(range(len(items)))
    sizes = np.array([np.bincount(items.targets()[fold], minlength=len(each)) for fold in folds])
    assert np.ptp(sizes, axis=0).max() <= 1
    assert np.ptp(sizes.sum(axis=1)) <= 1


@pytest.mark.parametrize("grouped", [False, True])
def test_folds_do_not_depend_on_row_order(grouped):
    labels = ["a", "b", "b"] * 20
    items = built(labels, [f"g{row // 2}" for row in range(60)] if grouped else None)
    again = items.take(np.random.default_rng(5).permutation(60))
    folds, moved = (deal(table, all_rows(table), 4, "s", where="test") for table in (items, again))
    assert [named(items, fold) for fold in folds] == [named(again, fold) for fold in moved]


def test_grouped_folds_keep_groups_whole_and_classes_spread():
    rng = np.random.default_rng(0)
    groups = [f"g{number}" for number in rng.integers(0, 40, 300)]
    items = built([("a", "b")[number] for number in rng.integers(0, 2, 300)], groups)
    folds = deal(items, all_rows(items), 5, "s", where="test")
    owners = [{groups[row] for row in fold} for fold in folds]
    assert sum(len(owner) for owner in owners) == len(set(groups))
    shares = [np.mean(items.targets()[fold]) for fold in folds]
    assert np.ptp(shares) < 0.15


def test_folds_change_with_the_name():
    items = built(["a", "b"] * 30)
    first, second = (deal(items, all_rows(items), 3, name, where="test")[0].tolist() for name in ("one", "two"))
    assert first != second


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        (["a"] * 9 + ["b"] * 2, None, r"fewer rows than the 3 folds need[\s\S]*'b' has 2"),
        (["a", "b"] * 6, ["u", "u", "v", "v"] * 3, "fewer groups than folds"),
        (["a"] * 9 + ["b"] * 3, [*"uvwuvwuvw", "x", "x", "x"], "'b' stands in too few groups"),
    ],
)
def test_what_cannot_be_dealt_is_said(labels, groups, message):
    items = built(labels, groups)
    with pytest.raises(UserError, match=message):
        deal(items, all_rows(items), 3, "s", where="test")
