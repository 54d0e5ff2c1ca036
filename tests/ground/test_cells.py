"""Cells as bytes and as numbers, beside scikit-learn's encoders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from transfuse import cells, texts
from transfuse.errors import UserError

SCHEMA = (("age",), ("place", "sea", "wood"), ("weight",), ("kind", "a"))
ROWS = [
    {"age": "3.5", "place": "sea", "weight": "-2e3", "kind": "a"},
    {"age": "", "place": "moon", "weight": "4", "kind": "N/A"},
    {"weight": " nan ", "age": "7", "place": " wood "},
    {},
]
CELL = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)


def table(rows, names):
    """Cells as an array of objects, missing ones as NaN."""
    said = [[row.get(name, "").strip() for name in names] for row in rows]
    return np.array([[np.nan if cells.missing(cell) else cell for cell in row] for row in said], dtype=object)


def test_numbers_flags_and_categories_as_scikit_learn_writes_them():
    numbers = table(ROWS, ["age", "weight"]).astype(float)
    encoder = OneHotEncoder(categories=[["sea", "wood"], ["a"]], handle_unknown="ignore", sparse_output=False)
    wanted = np.concatenate(
        [
            SimpleImputer(strategy="constant", fill_value=0).fit_transform(numbers),
            MissingIndicator(features="all").fit_transform(numbers),
            encoder.fit_transform(table(ROWS, ["place", "kind"])),
        ],
        axis=1,
    )
    found = cells.encoded(ROWS, SCHEMA)
    assert found.dtype == np.float32
    assert (cells.width(SCHEMA), cells.numbers(SCHEMA)) == (found.shape[1], 2)
    np.testing.assert_array_equal(found, wanted.astype(np.float32))


def test_missing_numbers_are_filled_with_the_mean_of_those_there():
    rows = [{"a": "1", "b": ""}, {"a": "", "b": ""}, {"a": "4", "b": ""}]
    block = cells.encoded(rows, (("a",), ("b",)))
    wanted = SimpleImputer(strategy="mean").fit_transform(table(rows, ["a"]).astype(float))
    np.testing.assert_allclose(cells.filled(block, 2)[:, :1], wanted)
    np.testing.assert_array_equal(cells.filled(block, 2)[:, 1:], block[:, 1:])
    assert cells.filled(block, 0) is block


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dictionaries(CELL, CELL, max_size=4), min_size=1, max_size=4))
def test_what_is_laid_is_read_again(rows):
    raws = [cells.content(row) for row in rows]
    found = cells.read(texts.laid(raws, max([1, *map(len, raws)])))
    assert found == [{name: cell.strip() for name, cell in row.items() if not cells.missing(cell)} for row in rows]


def test_views_hold_every_other_column_and_lose_none_together():
    canvas = texts.laid([cells.content({"b": "2", "a": "1", "c": "3"})], 60)
    looks = {view: cells.read(cells.seen(canvas, view))[0] for view in cells.VIEWS}
    assert looks == {"plain": {"a": "1", "b": "2", "c": "3"}, "odd": {"a": "1", "c": "3"}, "even": {"b": "2"}}


@pytest.mark.parametrize("cell", ["old", "inf", "1,5", "--"])
def test_what_is_no_number_is_never_read_as_one(cell):
    with pytest.raises(UserError, match="column 'age' holds no number"):
        cells.encoded([{"age": cell}], (("age",),))


@pytest.mark.parametrize(
    ("stated", "names", "said"),
    [
        ({"age": "number"}, ["aeg"], "unknown column 'aeg'"),
        ({"age": []}, None, "nobody knows what column 'age' holds"),
        ({"age": "numbr"}, None, "nobody knows what column 'age' holds"),
        ({}, None, "there are no columns to read"),
    ],
)
def test_a_schema_is_stated_whole(stated, names, said):
    with pytest.raises(UserError, match=said):
        cells.schema_of(stated, names, "here")
