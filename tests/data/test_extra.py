"""Further sets of items: names that mean something, rows by their ids, and nothing that also stands in the data."""

from __future__ import annotations

import numpy as np
import pytest

from transfuse.data.extra import Extra, extras, pool_names, pool_rows, rows_of
from transfuse.data.items import Items, table
from transfuse.data.open import settings
from transfuse.errors import UserError


def items(count: int, first: int = 0, splits: list[str | None] | None = None) -> Items:
    numbers = range(first, first + count)
    labels = ["ab"[number % 2] for number in numbers]
    return table(
        [f"item{number}" for number in numbers], labels, [f"{number:032d}" for number in numbers], splits=splits
    )


def test_a_recipes_sets_are_taken_apart_in_the_order_of_their_names():
    given = {"own:vgg": "photos/", "ood:mnist": {"read": "idx:mnist", "take": 5}, "ood:csv": {"csv": "labels.csv"}}
    assert extras(given) == (
        Extra("ood:csv", {"csv": "labels.csv"}),
        Extra("ood:mnist", "idx:mnist", 5),
        Extra("own:vgg", "photos/"),
    )
    assert [(one.kind, one.about) for one in extras(given)][2] == ("own", "vgg")
    assert extras(None) == ()


def test_they_stand_beside_whatever_the_data_is():
    extra = {"ood:x": "y"}
    for given in ({"read": "idx:a", "extra": extra}, {"csv": "a.csv", "extra": extra}):
        assert settings(given).extra == extra
    assert settings({"csv": "a.csv", "extra": extra}).read == {"csv": "a.csv"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"lake": {"read": "x"}}, "ood:NAME"),
        ({"pool:": {"read": "x"}}, "unlabelled items"),
        ({"pool": {"take": "all"}}, "whole number"),
        ({"pool": {"targets": "label"}}, "never read"),
        ({"ood:": "x"}, "ood:NAME"),
        ({"ood:a|b": "x"}, "own:SOURCE"),
        ({"ood:x": {"read": "x", "take": 0}}, "whole number"),
        ({"ood:x": {"read": "x", "take": True}}, "whole number"),
        ({"ood:x": {"read": "x", "splits": {"test": "all"}}}, "unknown key 'splits'"),
        ({"ood:x": {"read": "x", "canvas": 32}}, "unknown key 'canvas'"),
        ({"ood:x": {"read": "x", "groups": "near_duplicates"}}, "unknown key 'groups'"),
        ({"ood:x": {"read": "x", "tke": 5}}, "unknown key 'tke'"),
        (["ood:x"], "maps names"),
    ],
)
def test_what_means_nothing_is_refused_with_what_does(given, told):
    with pytest.raises(UserError, match=told):
        extras(given)


def test_rows_are_drawn_by_id_so_that_the_order_of_files_does_not_matter():
    found, mirrored = items(40), items(40).take(range(39, -1, -1))
    rows, left = rows_of(Extra("ood:x", "x", 10), found, items(3, first=100))
    assert len(rows) == 10 and left == 0 and np.all(np.diff(rows) > 0)
    again, _ = rows_of(Extra("ood:x", "x", 10), mirrored, items(3, first=100))
    assert {found.ids[row] for row in rows} == {mirrored.ids[row] for row in again}
    fewer, _ = rows_of(Extra("ood:x", "x", 5), found, items(3, first=100))
    assert set(fewer) < set(rows)


def test_a_declared_test_split_is_preferred():
    declared = items(10, splits=["train"] * 6 + ["test"] * 4)
    rows, _ = rows_of(Extra("own:a", "x"), declared, declared)
    assert rows.tolist() == [6, 7, 8, 9]


def test_outside_items_that_stand_in_the_data_are_left_out_and_counted():
    rows, left = rows_of(Extra("ood:x", "x"), items(10), items(4))
    assert rows.tolist() == [4, 5, 6, 7, 8, 9] and left == 4
    with pytest.raises(UserError, match="also stand in the data"):
        rows_of(Extra("ood:x", "x"), items(4), items(10))


def test_a_sources_own_task_may_share_items_with_the_data():
    rows, left = rows_of(Extra("own:a", "x"), items(4), items(10))
    assert len(rows) == 4 and left == 0


def test_a_pool_is_what_is_left_of_the_data_where_it_says_nothing_else():
    given = {"pool": None, "pool:wild": {"read": "photos/", "take": 7, "targets": "none"}}
    assert extras(given, "idx:a") == (Extra("pool", "idx:a", "rest"), Extra("pool:wild", "photos/", 7))
    assert pool_names({"read": "idx:a", "extra": {**given, "ood:x": "y"}}) == ["pool", "pool:wild"]
    assert pool_names("idx:a") == []


def test_a_pool_holds_nothing_that_is_trained_chosen_or_judged_on():
    found = items(20, splits=["train"] * 10 + ["test"] * 4 + [None] * 6)
    used = {found.digests[row] for row in (0, 1, 15)}
    rows = pool_rows(Extra("pool", "x", "rest"), found, used)
    assert rows.tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 14, 16, 17, 18, 19]
    few = pool_rows(Extra("pool", "x", 4), found, used)
    assert len(few) == 4 and set(few) < set(rows)
    mirrored = found.take(range(19, -1, -1))
    again = pool_rows(Extra("pool", "x", 4), mirrored, used)
    assert {mirrored.ids[row] for row in again} == {found.ids[row] for row in few}


def test_an_empty_pool_is_refused():
    found = items(4)
    with pytest.raises(UserError, match="this pool is empty"):
        pool_rows(Extra("pool", "x", "rest"), found, set(found.digests))
