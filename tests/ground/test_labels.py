"""Label sets are tied by name, mapping or list; what does not match is refused with what is called most like it."""

from __future__ import annotations

import pytest

from transfuse.errors import UserError
from transfuse.files.mappings import read_mapping
from transfuse.labels import align, joined, refusal

TARGET = ("cat", "dog", "fish")


def aligned(own, given=None, width=None):
    return align(own, TARGET, given, width=width, where="here")


def test_classes_of_one_name_are_the_same_whatever_their_order():
    found = aligned(("fish", "car", "cat", "dog"))
    assert found.columns == (2, -1, 0, 1)
    assert found.whole and found.left == ("car",)


def test_who_knows_some_says_which():
    found = aligned(("dog", "car"))
    assert found.known == (False, True, False) and not found.whole
    assert found.unknown == ("cat", "fish")


def test_a_mapping_may_join_classes_leave_some_out_and_says_nothing_of_the_rest():
    found = aligned(("tabby", "siamese", "dog", "fish"), {"tabby": "cat", "siamese": "cat", "fish": None})
    assert found.columns == (0, 0, 1, -1)


def test_a_list_names_columns_of_a_head_without_names():
    assert aligned((), ["dog", None, "cat"], width=3).columns == (1, -1, 0)


@pytest.mark.parametrize(
    ("own", "given", "width", "told"),
    [
        (("cat", "dog"), {"kat": "cat"}, None, r"'kat' is no own class \(nearest: cat\)"),
        (("cat", "dog"), {"cat": "Cats"}, None, r"'Cats', which the target does not have \(nearest: cat\)"),
        ((), {"cat": "dog"}, None, "needs the names of the own classes"),
        ((), ["cat"], 3, "another number of columns"),
        ((), ["cat", "dgo", None], 3, r"'dgo' \(nearest: dog\)"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_with_the_nearest(own, given, width, told):
    with pytest.raises(UserError, match=told):
        aligned(own, given, width)


def test_a_refusal_names_what_does_not_match_and_the_nearest():
    error = refusal(aligned(("Cat", "dogs", "wheel")), "no", where="source 'a'")
    assert "'cat' (nearest: Cat), 'dog' (nearest: dogs), 'fish'" in str(error)
    assert "got: Cat, dogs, wheel" in str(error) and "CSV own,target" in str(error)


def test_networks_that_share_columns_know_what_any_of_them_knows_and_may_not_disagree():
    first, second = aligned((), ["cat", None, "fish"], 3), aligned((), [None, "dog", None], 3)
    assert joined([first, second], where="here").columns == (0, 1, 2)
    with pytest.raises(UserError, match="column 0 stands for different classes"):
        joined([first, aligned((), ["dog", None, None], 3)], where="here")


def test_mapping_files_are_csv_or_json(tmp_path):
    (tmp_path / "a.csv").write_text("note,own,target\nx,tabby,cat\ny,car,\n")
    (tmp_path / "a.json").write_text('{"tabby": "cat", "car": null}')
    for name in ("a.csv", "a.json"):
        assert read_mapping(tmp_path / name) == {"tabby": "cat", "car": None}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "own,class\na,b\n", "columns own, class"),
        ("a.csv", "own,target\na,b\na,c\n", "mapped twice"),
        ("a.csv", "own,target\n", "no data rows"),
        ("a.csv", "own,target\na\n", "differ in length"),
        ("a.json", '{"a": "b", "a": "c"}', "mapped twice"),
        ("a.json", '{"a": 3}', "no name"),
        ("a.json", "[1]", "not an object"),
        ("b.csv", None, "no such mapping"),
    ],
)
def test_bad_mapping_files_are_one_message(tmp_path, name, text, told):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=told):
        read_mapping(tmp_path / name)
