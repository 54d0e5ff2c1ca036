"""Lists of numbers in place of arrays, among data given in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfuse.data.in_memory import in_arrays
from transfuse.data.open import open_data, settings
from transfuse.errors import UserError

GREY = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
SHARE = (GREY / 255).astype(np.float32)
Y = np.array([0, 1, 0, 1, 1, 0])


@pytest.mark.parametrize("x", [GREY, SHARE, np.stack([SHARE] * 3, axis=1)])
def test_lists_are_read_as_the_arrays_that_they_were(x: np.ndarray):
    wanted = open_data((x, Y), Path()).items.fingerprint
    forms = [
        (x.tolist(), Y),
        (x.tolist(), Y.tolist()),
        ([*x], Y),
        {"x": x.tolist(), "y": Y.tolist()},
        {"images": x.tolist(), "labels": Y},
        {"read": {"x": x.tolist(), "y": Y.tolist()}, "canvas": 8},
        {"read": (x.tolist(), Y)},
    ]
    for form in forms:
        made = in_arrays(form)
        assert open_data(made, Path()).items.fingerprint == wanted
        read = settings(made).read
        images = read[0] if isinstance(read, tuple) else read.get("x", read.get("images"))
        assert hasattr(images, "shape"), "no list of thousands of numbers goes on into records"


def test_sets_of_extra_items_are_looked_into_and_names_stay_names():
    given = {
        "x": GREY.tolist(),
        "y": Y.tolist(),
        "classes": ["a", "b"],
        "extra": {"pool": {"read": (GREY.tolist(), Y)}},
    }
    made = in_arrays(given)
    assert made["extra"]["pool"]["read"][0].dtype == np.uint8
    assert open_data({key: made[key] for key in ("x", "y", "classes")}, Path()).items.classes == ("a", "b")


@pytest.mark.parametrize("data", ["photos/", {"csv": "a.csv", "label": ["x", "y"]}, (GREY, Y), [(GREY[0], 1)], None])
def test_everything_else_stays_as_it_is(data: object):
    made = in_arrays(data)
    assert made is data or made == data


@pytest.mark.parametrize(
    ("x", "says"),
    [
        ([[1, 2], [3]], "rows of different lengths"),
        (["a text", "another"], "a table with a column 'text'"),
        ([], r"float64 \[0\]"),
        ([1.0, 2.0], r"float64 \[2\]"),
    ],
)
def test_lists_that_are_no_images_are_told_with_what_is_expected(x: list, says: str):
    for form in ((x, [0, 1]), {"x": x, "y": [0, 1]}):
        with pytest.raises(UserError, match=f"(?s)these lists are no images.*nested lists.*{says}"):
            in_arrays(form)


def test_whole_numbers_whose_scale_cannot_be_known_are_refused_as_in_arrays():
    for x in ((SHARE > 0.5).astype(int), GREY.astype(int) * 4, GREY.astype(int) - 300):
        with pytest.raises(UserError, match="no known scale"):
            open_data(in_arrays((x.tolist(), Y)), Path())


def test_a_list_of_two_arrays_is_told_to_be_a_pair_in_round_brackets():
    with pytest.raises(UserError, match="round brackets"):
        open_data([GREY, Y], Path())
