from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfuse.data.items import Items, table
from transfuse.data.labels import flags, numbers, tags
from transfuse.data.open import index, open_data, read_as, signature
from transfuse.errors import UserError

IMAGES = np.random.default_rng(0).random((4, 5, 5)).astype(np.float32)


def sheet(folder: Path, header: str, rows: list[str]) -> str:
    pixels = [",".join(f"{value:.3f}" for value in image.ravel()[:16]) for image in IMAGES]
    names = ",".join(f"p{number}" for number in range(16))
    lines = [f"{header},{names}", *(f"{row},{dots}" for row, dots in zip(rows, pixels, strict=True))]
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return "t.csv"


def test_several_columns_of_flags(tmp_path: Path) -> None:
    name = sheet(tmp_path, "cat,dog", ["1,0", "0,0", "true,yes", ","])
    items = index(read_as({"csv": name, "label": ["cat", "dog"]}, "multilabel"), tmp_path)
    assert items.classes == ("cat", "dog")
    assert items.labels == (("cat",), (), ("cat", "dog"), None)
    np.testing.assert_array_equal(items.targets(), [[1, 0], [0, 0], [1, 1], [-1, -1]])
    assert open_data({"csv": name, "label": ["cat", "dog"]}, tmp_path, items).raw(0).shape == (4, 4)


def test_one_column_of_names(tmp_path: Path) -> None:
    name = sheet(tmp_path, "label", ["cat|dog", "|", "dog", ""])
    items = index(read_as({"csv": name, "separator": "|"}, "multilabel"), tmp_path)
    assert items.classes == ("cat", "dog")
    assert items.labels == (("cat", "dog"), (), ("dog",), None)


def test_columns_of_numbers(tmp_path: Path) -> None:
    name = sheet(tmp_path, "mass,age", ["1.5,3", "2,4e1", ",", "-1,0"])
    items = index(read_as({"csv": name, "label": ["mass", "age"]}, "regression"), tmp_path)
    assert items.labels == ((1.5, 3.0), (2.0, 40.0), None, (-1.0, 0.0))
    assert items.labelled().tolist() == [True, True, False, True]
    assert np.isnan(items.targets()[2]).all()


def test_the_table_comes_back_from_the_store_and_kinds_differ_in_it(tmp_path: Path) -> None:
    name = sheet(tmp_path, "a,b", ["1,0", "0,1", "1,1", "0,0"])
    spec = {"csv": name, "label": ["a", "b"]}
    known = [index(read_as(spec, kind), tmp_path) for kind in ("multilabel", "regression")]
    for items in known:
        assert Items.from_json(items.to_json()) == items
    assert known[0].fingerprint != known[1].fingerprint
    assert signature(read_as(spec, "multilabel"), tmp_path) != signature(read_as(spec, "regression"), tmp_path)


def test_a_multiclass_table_keeps_its_form_in_the_store() -> None:
    assert "kind" not in table(["a", "b"], ["x", "y"], ["1", "2"]).to_json()


@pytest.mark.parametrize(
    ("kind", "targets", "labels"),
    [
        ("multilabel", np.array([[1, 0], [0, 0], [1, 1], [-1, -1]]), (("0",), (), ("0", "1"), None)),
        ("regression", np.array([1.5, 2.0, 3.0, 4.0]), ((1.5,), (2.0,), (3.0,), (4.0,))),
    ],
)
def test_arrays_and_datasets_give_the_same_table(kind: str, targets: np.ndarray, labels: tuple) -> None:
    dataset = [(image, target) for image, target in zip(IMAGES, targets, strict=True)]
    for spec in ((IMAGES, targets), {"x": IMAGES, "y": targets}, dataset):
        items = index(read_as(spec, kind), Path())
        assert items.labels == labels
        assert items.classes == (("0", "1") if kind == "multilabel" else ("value",))


@pytest.mark.parametrize(
    ("read", "cells", "said"),
    [
        (flags, [["1", "2"]], "neither 0 nor 1.*label 'b'"),
        (flags, [["1", ""]], "neither 0 nor 1"),
        (numbers, [["1", "tall"]], "no number.*target 'b'.*tall"),
        (numbers, [["1", "nan"]], "no number"),
        (numbers, [[1.0, float("nan")]], "no number"),
        (numbers, [["", "3"]], "no number.*target 'a'"),
        (numbers, [[1.0, float("inf")]], "no number"),
    ],
)
def test_a_bad_cell_is_named(read, cells: list, said: str) -> None:
    with pytest.raises(UserError, match=f"(?s){said}"):
        read(np.array(cells, dtype=object), ["a", "b"], "t.csv")


def test_a_label_twice_and_a_blank_separator_are_refused() -> None:
    with pytest.raises(UserError, match="named twice"):
        tags(["a;a"], "t.csv")
    with pytest.raises(UserError, match="visible character"):
        tags(["a a"], "t.csv", " ")


def test_readers_of_classes_only_say_what_has_labels(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)sklearn:digits has no labels for a multilabel task.*csv:FILE"):
        index(read_as("sklearn:digits", "multilabel"), tmp_path)


def test_several_label_columns_without_a_kind_say_what_to_write(tmp_path: Path) -> None:
    name = sheet(tmp_path, "a,b", ["1,0"] * 4)
    with pytest.raises(UserError, match=r"(?s)several label columns.*kind: multilabel"):
        index({"csv": name, "label": ["a", "b"]}, tmp_path)
    with pytest.raises(UserError, match="unknown column 'c'"):
        index(read_as({"csv": name, "label": ["a", "c"]}, "multilabel"), tmp_path)


def test_rows_of_a_dataset_that_differ_in_length_are_refused() -> None:
    with pytest.raises(UserError, match="differ in shape"):
        index(read_as([(IMAGES[0], [1, 0]), (IMAGES[1], [1])], "multilabel"), Path())
