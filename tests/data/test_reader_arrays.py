"""Arrays in memory, in npz files and in scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_digits

from transfuse.data.items import Items
from transfuse.data.open import columns, index, open_data, read_as, signature
from transfuse.data.readers.arrays import names
from transfuse.errors import UserError

HERE = Path(".")
X = np.random.default_rng(0).integers(0, 256, (6, 4, 5), dtype=np.uint8)
Y = np.array([0, 10, 9, -1, 0, 9])
COLUMNS = {"group": list("uuvvww"), "split": ["train"] * 4 + ["test"] * 2, "ids": [f"n{row}" for row in range(6)]}


def test_a_pair_becomes_a_table():
    data = open_data((X, Y), HERE)
    assert data.items.ids[:2] == ("00000", "00001")
    assert data.items.labels == ("0", "10", "9", None, "0", "9")
    assert data.items.classes == ("0", "9", "10")
    np.testing.assert_array_equal(data.raw(4), X[4])


def test_an_array_of_no_known_name_is_not_passed_over():
    with pytest.raises(UserError, match="(?s)unknown array 'lables'.*labels"):
        index({"x": X, "lables": Y}, HERE)


TAGS = [["a", "b"], ["c"], ["a"], [], ["b"], ["c"]]


@pytest.mark.parametrize(
    "labels", [TAGS, np.array(TAGS, dtype=object), [["a", "b"]] * 6, np.array([["a", "b"]] * 6, dtype=object)]
)
def test_labels_by_their_names_are_told_how_to_become_columns(labels):
    with pytest.raises(UserError) as found:
        index(read_as((X, labels), "multilabel"), HERE)
    assert "MultiLabelBinarizer" in str(found.value.hint)
    columns = np.array([[name in row for name in "abc"] for row in TAGS]).astype(int)
    assert index(read_as({"x": X, "y": columns, "classes": list("abc")}, "multilabel"), HERE).labels == (
        *map(tuple, TAGS),
    )
    assert index(read_as((X, np.array([["1", "0"]] * 6)), "multilabel"), HERE).labels[0] == ("0",), "flags may be texts"


@settings(deadline=None, max_examples=15)
@given(hnp.arrays(np.uint8, (3, 3, 5, 6)))
def test_colour_may_come_first_or_last(pixels):
    first = open_data((pixels, np.arange(3)), HERE)
    last = open_data((np.moveaxis(pixels, 1, 3), np.arange(3)), HERE)
    assert first.items == last.items
    np.testing.assert_array_equal(first.raw(2), last.raw(2))


@pytest.mark.parametrize("y", [[2, 0, 1], ["eel", "cat", "dog"]])
def test_class_numbers_get_the_names_that_are_given(y):
    classes = np.array(["cat", "dog", "eel"])
    found = index({"x": X[:3], "y": np.array(y), "classes": classes}, HERE)
    assert found.labels == ("eel", "cat", "dog") and found.classes == ("cat", "dog", "eel")
    without = index({"x": X[:3], "y": np.array([-1, 0, 1]), "classes": classes}, HERE)
    assert without.labels == (None, "cat", "dog")


@pytest.mark.parametrize(
    ("y", "classes", "says"),
    [
        ([0, 1, 2], ["cat", "dog"], "do not fit"),
        ([-2, 0, 1], ["cat", "dog"], "do not fit"),
        ([0, 1, 1], ["cat", "cat"], "one name"),
        (["cat", "dgo", "dog"], ["cat", "dog"], "dgo"),
    ],
)
def test_names_of_classes_that_do_not_fit_the_labels_are_refused(y, classes, says):
    with pytest.raises(UserError, match=says):
        index({"x": X[:3], "y": np.array(y), "classes": np.array(classes)}, HERE)


def test_a_mapping_may_name_everything():
    items = index({"x": X, "y": Y, **{name: np.array(column) for name, column in COLUMNS.items()}}, HERE)
    assert items.groups == tuple("uuvvww")
    assert items.splits == ("train",) * 4 + ("test",) * 2
    assert items.ids[5] == "n5"


def test_tensors_need_no_torch_of_ours():
    torch = pytest.importorskip("torch")
    assert index((torch.from_numpy(X.copy()), torch.from_numpy(Y)), HERE) == index((X, Y), HERE)


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        (np.array(["a", ""]), ["a", None]),
        (np.array([b"a", b"b"]), ["a", "b"]),
        (np.array([3.0, -1.0]), ["3", None]),
        (np.array([True, False]), ["1", "0"]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.array([7, -1], dtype=object), ["7", None]),
    ],
)
def test_labels_of_every_kind_become_names(column, meant):
    assert names(column, 2, "y") == meant


@pytest.mark.parametrize("column", [[0.5, 1.0], [np.nan, 1.0], [np.inf, 1.0], [1j, 0j]])
def test_labels_that_are_no_names_are_refused(column):
    with pytest.raises(UserError, match="names or whole numbers"):
        names(np.array(column), 2, "y")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ((X, Y[:5]), r"one entry per image[\s\S]*\[6\]"),
        ((X.reshape(6, -1), Y), "reshape flat rows"),
        ((X / 200, Y), r"float pixels must lie in \[0, 1\]"),
        ((X.astype(int), Y), "no known scale"),
        ((np.where(X > 100, np.nan, 0.5), Y), "NaN"),
        ({"x": X, "images": X, "y": Y}, "two arrays for one role"),
        ({"x": X, "y": Y, "ids": np.array(["a"] * 6)}, "more than once"),
        ({"x": X, "y": Y, "group": np.array(["a"] * 5 + [""])}, "needs a group"),
        ({"x": X, "y": Y, "split": np.array(["left"] * 6)}, "unknown split 'left'"),
    ],
)
def test_arrays_without_a_clear_meaning_are_refused(spec, message):
    with pytest.raises(UserError, match=message):
        index(spec, HERE)


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("images", "labels"), ("data", "targets")])
def test_npz_is_the_same_as_memory(tmp_path: Path, x, y):
    np.savez_compressed(tmp_path / "a.npz", **{x: X, y: Y}, **COLUMNS)
    expected = index({"x": X, "y": Y, **{name: np.array(column) for name, column in COLUMNS.items()}}, HERE)
    for spec in ("a.npz", "npz:a.npz"):
        data = open_data(spec, tmp_path)
        assert data.items == expected
        np.testing.assert_array_equal(data.raw(2), X[2])


def test_npz_errors_name_the_file(tmp_path: Path):
    np.savez(tmp_path / "a.npz", z=X)
    with pytest.raises(UserError, match=r"no array of images[\s\S]*a\.npz[\s\S]*got: z"):
        index("npz:a.npz", tmp_path)
    with pytest.raises(UserError, match="file not found"):
        index("npz:absent.npz", tmp_path)


def test_a_changed_npz_does_not_fit_old_items(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    items = index("npz:a.npz", tmp_path)
    np.savez(tmp_path / "a.npz", x=X[:5], y=Y[:5])
    with pytest.raises(UserError, match="have changed"):
        open_data("npz:a.npz", tmp_path, items)


def test_digits_are_scikit_learns():
    images, targets = load_digits(return_X_y=True)
    data = open_data("sklearn:digits", HERE)
    assert isinstance(data.items, Items)
    assert [int(label) for label in data.items.labels if label] == np.asarray(targets).tolist()
    np.testing.assert_array_equal(data.raw(700), (np.asarray(images)[700].reshape(8, 8) / 16).astype(np.float32))
    assert signature("sklearn:digits", HERE) == signature("sklearn:digits", HERE)


@pytest.mark.parametrize(
    ("spec", "message"),
    [("sklearn:iris", "'iris' is a table"), ("sklearn:digit", r"unknown bundled data set 'digit'[\s\S]*try: digits")],
)
def test_other_bundled_sets_are_refused_by_name(spec, message):
    for call in (index, signature):
        with pytest.raises(UserError, match=message):
            call(spec, HERE)


def test_arrays_in_memory_have_no_columns_beside_them():
    images, labels = np.zeros((2, 4, 4), dtype=np.uint8), ["a", "b"]
    assert columns((images, labels), HERE) == ({}, [])
