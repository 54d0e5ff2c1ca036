"""The item table holds its own consistency."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.data.items import Items, array_digest, class_order, content_digest, split_name, table
from transfuse.errors import UserError

LABELS = st.lists(st.sampled_from(["a", "b", "10", "9", None]), min_size=1, max_size=12)


def built(labels, **columns) -> Items:
    return table([f"i{row}" for row in range(len(labels))], labels, ["d"] * len(labels), **columns)


@settings(deadline=None, max_examples=30)
@given(labels=LABELS)
def test_json_brings_back_the_same_table(labels):
    items = built(labels, groups=["g"] * len(labels), splits=["train"] + [None] * (len(labels) - 1))
    again = Items.from_json(json.loads(json.dumps(items.to_json())))
    assert again == items
    assert again.fingerprint == items.fingerprint


@settings(deadline=None, max_examples=30)
@given(labels=LABELS)
def test_targets_name_the_labels(labels):
    items = built(labels)
    assert [None if t < 0 else items.classes[t] for t in items.targets()] == labels


def test_every_column_is_in_the_fingerprint():
    plain = table(["a", "b"], ["x", "y"], ["1", "2"])
    others = [
        table(["a", "c"], ["x", "y"], ["1", "2"]),
        table(["a", "b"], ["y", "x"], ["1", "2"]),
        table(["a", "b"], ["x", "y"], ["1", "3"]),
        table(["a", "b"], ["x", "y"], ["1", "2"], groups=["g", "g"]),
        table(["a", "b"], ["x", "y"], ["1", "2"], splits=["train", None]),
        table(["b", "a"], ["y", "x"], ["2", "1"]),
    ]
    assert len({items.fingerprint for items in [plain, *others]}) == 7


def test_numeric_classes_are_in_order_of_value():
    assert built(["10", "9", "b", "-1", "a", "2.5"]).classes == ("-1", "2.5", "9", "10", "a", "b")
    assert sorted(["nan", "inf", "7"], key=class_order) == ["7", "inf", "nan"]


def test_take_keeps_order_and_classes():
    items = built(["a", "b", "c"], groups=["g", "h", "i"], splits=["train", None, "test"])
    part = items.take(np.array([2, 0]))
    assert (part.ids, part.labels, part.groups, part.splits) == (
        ("i2", "i0"),
        ("c", "a"),
        ("i", "g"),
        ("test", "train"),
    )
    assert part.classes == items.classes


def test_repeated_ids_are_named():
    with pytest.raises(UserError, match="'same' more than once"):
        table(["same", "other", "same"], ["a"] * 3, ["d"] * 3)


def test_columns_must_agree_in_length():
    with pytest.raises(UserError, match="differ in length"):
        table(["a", "b"], ["x"], ["1", "2"])


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(UserError, match="outside the classes"):
        Items(ids=("a",), labels=("x",), groups=None, splits=(None,), digests=("1",), classes=("y",))


def test_names_that_are_no_text_are_refused():
    with pytest.raises(UserError, match="no valid text"):
        table(["good", "bad\udcff"], ["x", "x"], ["1", "2"])


@pytest.mark.parametrize(("name", "meant"), [("Validation", "val"), ("dev", "val"), ("TEST", "test"), ("cal", "cal")])
def test_split_names_have_aliases(name, meant):
    assert split_name(name) == meant


def test_an_unknown_split_offers_the_nearest():
    with pytest.raises(UserError, match=r"unknown split 'trian'[\s\S]*try: train"):
        table(["a"], ["x"], ["1"], splits=["trian"])


def test_digests_tell_type_shape_and_content_apart():
    zeros = np.zeros((2, 3), np.uint8)
    variants = [zeros, zeros.T, zeros.astype(np.float32), np.zeros((2, 12), np.uint8), zeros + 1]
    assert len({array_digest(array) for array in variants}) == 5
    assert array_digest(zeros[:, ::-1]) == array_digest(zeros)
    assert len(content_digest(b"")) == 32
