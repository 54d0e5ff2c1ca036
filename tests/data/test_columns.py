"""Columns beside images and texts: what they hold is read off the table, and what cannot be read is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfuse import cells, packed
from transfuse.data.canvas import batch
from transfuse.data.open import columns, field_of, index, open_data, with_columns, with_parts
from transfuse.errors import UserError

HEAD = "path,label,age,place,zip,more\n"
ROWS = "a.png,x,3,sea,1000,\nb.png,y,,wood,2000,\na.png,x,5.5,sea,1000,\n"


@pytest.fixture
def sheet(tmp_path: Path, photo) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        photo(name)
    return written(tmp_path, HEAD + ROWS.replace("a.png,x,5.5", "c.png,x,5.5"))


def written(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return folder / "t.csv"


def test_numbers_and_categories_are_told_apart_and_what_says_nothing_is_counted(tmp_path, sheet):
    found, told = columns({"csv": "t.csv", "columns": "all"}, tmp_path)
    assert found == {"age": "number", "place": ["sea", "wood"], "zip": "number"}
    assert "age (a number, 1 of 3 missing), place (2 categories), zip (a number)" in told[0]
    assert "more is empty" in told[1]
    stated, _ = columns({"csv": "t.csv", "columns": {"zip": "category", "age": "number"}}, tmp_path)
    assert stated == {"zip": ["1000", "2000"], "age": "number"}


def test_an_item_is_its_image_with_the_cells_beside_it(tmp_path, sheet):
    spec = {"csv": "t.csv", "columns": ["place", "age"]}
    assert field_of(spec, tmp_path) == "image+columns"
    data = open_data(spec, tmp_path)
    rows = batch(data, [2, 0], 8)
    plain = batch(open_data("t.csv", tmp_path), [2, 0], 8)
    np.testing.assert_array_equal(packed.part(rows, "image"), plain)
    said = cells.read(packed.part(rows, "columns").astype(np.uint8))
    assert said == [{"place": "sea", "age": "5.5"}, {"place": "sea", "age": "3"}]


def test_another_cell_makes_another_table_but_not_another_image(tmp_path, sheet):
    spec = {"csv": "t.csv", "columns": "all"}
    before, plain = index(spec, tmp_path), index("t.csv", tmp_path)
    sheet.write_text(sheet.read_text().replace("wood", "moor"))
    after = index(spec, tmp_path)
    assert before.digests == after.digests == plain.digests
    assert before.fingerprint != after.fingerprint
    assert index("t.csv", tmp_path).fingerprint == plain.fingerprint
    assert type(before).from_json(before.to_json()) == before
    assert before.take([1]).besides == (before.besides or ())[1:2]


def test_texts_have_columns_too_and_may_stand_beside_images(tmp_path, sheet):
    written(tmp_path, "path,text,label,age\na.png,one,x,1\nb.png,two,y,2\n")
    assert field_of({"csv": "t.csv", "path": "path", "text": "text"}, tmp_path) == "image+text"
    assert field_of({"csv": "t.csv", "text": "text", "columns": ["age"]}, tmp_path) == "text+columns"
    assert field_of("t.csv", tmp_path) == "image"
    rows = batch(open_data({"csv": "t.csv", "path": "path", "text": "text"}, tmp_path), [1], 8)
    assert bytes(packed.part(rows, "text")[0].astype(np.uint8)).rstrip(b"\0") == b"two"


def test_columns_are_added_where_a_source_asks_and_none_are_named(tmp_path):
    asked = {"read": {"csv": "t.csv", "columns": "all"}}
    assert with_columns("csv:t.csv") == with_columns("t.csv") == asked
    assert with_columns({"csv": "t.csv", "columns": ["a"], "canvas": 8}) == {
        "csv": "t.csv",
        "columns": ["a"],
        "canvas": 8,
    }
    assert with_columns({"read": "t.csv", "splits": {"test": 2}}) == {**asked, "splits": {"test": 2}}
    assert with_columns("photos/") == "photos/"
    names = {"path": "path", "text": "text", "csv": "t.csv", "columns": ["age"]}
    assert with_parts("t.csv", ("image", "text", "columns"), ["age"]) == names
    assert with_parts("t.csv", ("image",), []) == "t.csv"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["aeg"], "unknown column 'aeg'"),
        (["label"], "column 'label' has a role already"),
        (["age", "age"], "a column is named twice"),
        ({"age": "nmber"}, "unknown kind of column 'nmber'"),
        ({"place": "number"}, "column 'place' holds no number"),
        (["more"], "column 'more' is empty"),
        ([], "columns are named"),
        (3, "columns are named"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, sheet, wanted, said):
    with pytest.raises(UserError, match=said):
        columns({"csv": "t.csv", "columns": wanted}, tmp_path)


def test_too_many_categories_and_numbers_without_differences_are_left_out_or_refused(tmp_path, photo):
    photo("a.png")
    lines = [f"a{n}.png,x,name {n},{16000000000 + n},{n % 3}" for n in range(120)]
    written(tmp_path, "\n".join(["path,label,who,when,n", *lines]))
    found, told = columns({"csv": "t.csv", "columns": "all"}, tmp_path)
    assert found == {"n": "number"}
    assert "who holds 120 different texts" in told[1]
    assert "when loses its differences" in told[1]
    for name in ("who", "when"):
        with pytest.raises(UserError, match=f"column '{name}'"):
            columns({"csv": "t.csv", "columns": [name]}, tmp_path)


def test_columns_alone_are_no_items(tmp_path):
    written(tmp_path, "label,age\nx,1\ny,2\n")
    with pytest.raises(UserError, match="columns stand beside images or texts"):
        index({"csv": "t.csv", "columns": "all"}, tmp_path)


def test_only_a_reader_that_says_so_is_asked_for_parts(tmp_path, monkeypatch):
    """Whatever else a reader's file holds under the same names."""
    from transfuse.data.readers import arrays

    for name in ("columns", "further"):
        monkeypatch.setattr(arrays, name, lambda *given: 1 / 0, raising=False)
    spec = {"images": np.zeros((2, 4, 4), dtype=np.uint8), "labels": ["x", "y"]}
    assert columns(spec, tmp_path) == ({}, [])
    assert with_columns(spec) is spec
    assert with_parts(spec, ("image", "text"), []) is spec
    assert open_data(spec, tmp_path).further == {}


def test_a_column_that_is_always_the_same_is_told(tmp_path):
    (tmp_path / "t.csv").write_text("path,label,same,gap,place\na.png,x,7,1,sea\nb.png,y,7,,sea\nc.png,y,7.0,1,sea\n")
    (sentence,) = columns({"csv": "t.csv", "columns": ["same", "gap", "place"]}, tmp_path)[1]
    assert "gap (a number, 1 of 3 missing, the same wherever it stands)" in sentence
    assert "place (1 category, always the same: says nothing)" in sentence
    assert "same (a number, always the same: says nothing)" in sentence
