"""Texts as bytes: nothing is torn, nothing depends on its neighbours, views hold the words that they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse import texts

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)


@settings(deadline=None, max_examples=60)
@given(st.lists(TEXT, min_size=1, max_size=4), st.integers(1, 30))
def test_what_is_read_is_a_prefix_of_what_was_laid_as_long_as_fits(said, length):
    canvas = texts.laid([texts.content(text) for text in said], length)
    assert canvas.shape == (len(said), length)
    for text, found in zip(said, texts.read(canvas), strict=True):
        assert text.startswith(found)
        rest = text[len(found) :]
        assert not rest or len((found + rest[0]).encode()) > length


@given(st.lists(TEXT, min_size=2, max_size=4))
def test_each_is_the_same_whatever_the_others_are(said):
    raws = [texts.content(text) for text in said]
    np.testing.assert_array_equal(texts.laid(raws, 12)[1], texts.laid(raws[1:2], 12)[0])


def test_a_zero_ends_no_text_and_torn_characters_are_told():
    assert texts.read(texts.laid([texts.content("a\0b")], 5)) == ["a b"]
    assert texts.content("\ud83d").tobytes() == b"?"
    assert texts.read(np.array([[0x61, 0xE2, 0x82]], dtype=np.uint8)) == ["a�"]


@pytest.mark.parametrize(
    ("view", "seen"),
    [("plain", "one  two three"), ("odd", "one three"), ("even", "two"), ("backwards", "three two one")],
)
def test_views_hold_words(view, seen):
    canvas = texts.laid([texts.content("one  two three")], 20)
    assert texts.read(texts.seen(canvas, view)) == [seen]
    assert set(texts.VIEWS) == {"plain", *texts._PICKED}


@pytest.mark.parametrize("length", [1, 7, 200])
def test_an_example_fills_its_canvas(length):
    canvas = texts.example(3, length)
    assert canvas.shape == (3, length)
    assert canvas.all()
    assert length == 1 or len({row.tobytes() for row in canvas}) == 3
