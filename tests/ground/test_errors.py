from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from transfuse import errors
from transfuse.errors import (
    BusyError,
    MissingExtraError,
    UnsafeFileError,
    UserError,
    first_line,
    many_problems,
    missing_extra,
    nearest,
    unknown_name,
)


def test_a_message_has_one_part_a_line_and_leaves_out_what_is_not_said() -> None:
    whole = UserError("it broke", where="here", expected="a", got="b", hint="c")
    assert str(whole).splitlines() == ["it broke", "  where: here", "  expected: a", "  got: b", "  try: c"]
    assert str(UserError("it broke", got="b")) == "it broke\n  got: b"


@pytest.mark.parametrize("kind", [UserError, UnsafeFileError, BusyError, MissingExtraError])
def test_errors_cross_process_borders_whole(kind: type[UserError]) -> None:
    error = kind("it broke", where="here", hint="c")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_an_unknown_name_offers_the_nearest_and_lists_what_there_is() -> None:
    error = unknown_name("method", "features/concatt", ["features/gate", "features/concat"], where="recipe")
    assert error.what == "unknown method 'features/concatt'"
    assert error.hint is not None
    assert error.hint.startswith("features/concat or ")
    assert error.expected == "one of features/concat, features/gate"
    assert error.where == "recipe"


def test_an_unknown_name_far_from_all_offers_nothing() -> None:
    assert unknown_name("tap", "qqqq", ["vector", "map"]).hint is None
    assert unknown_name("tap", "map", []).expected == "there is no tap to choose from"


def test_a_long_list_is_cut_with_its_length_told() -> None:
    error = unknown_name("class", "x", [f"c{index:02d}" for index in range(25)])
    assert error.expected is not None
    assert error.expected.endswith("c19, and 5 more")


def test_a_name_that_is_no_text_is_still_a_clean_error() -> None:
    assert unknown_name("setting", 3, ["epochs"]).what == "unknown setting '3'"  # pyright: ignore[reportArgumentType]


def test_the_part_after_the_slash_counts_as_well_as_the_whole() -> None:
    assert nearest("mean", ["weights/mean", "features/gate"]) == ["weights/mean"]
    assert nearest("gates/concat", ["features/gate", "features/concat"])[0] == "features/concat"
    assert len(nearest("a", ["a1", "a2", "a3"], count=2)) == 2


def test_many_problems_are_one_error() -> None:
    error = many_problems("it cannot be", [f"p{index}" for index in range(23)], where="recipe", hint="h")
    lines = str(error).splitlines()
    assert lines[0] == "it cannot be (23)"
    assert lines[1] == "  - p0"
    assert lines[21] == "  - and 3 more"
    assert lines[-2:] == ["  where: recipe", "  try: h"]


def test_a_missing_extra_names_the_command() -> None:
    assert missing_extra("onnx", "onnx", "this source").hint == "pip install 'transfuse[onnx]'"


def test_the_first_line_of_an_error_is_never_nothing():
    assert first_line(ValueError("")) == first_line(ValueError(" \n\n")) == "ValueError"
    assert first_line(ValueError("\n  what  \nand more")) == "what"
    assert first_line(ValueError("x" * 300)) == "x" * 200
    assert first_line("a reason\nin lines", 3) == "a r"


def test_no_other_place_takes_the_first_line_of_an_error():
    """`str(error).splitlines()[0]` is an IndexError where an error says nothing."""
    apart = re.compile(r"str\(\w+\)(\.strip\(\))?\.splitlines\(\)")
    package = Path(errors.__file__).parent
    found = {path.name for path in package.rglob("*.py") if apart.search(path.read_text(encoding="utf-8"))}
    # The second runs without the package, and joins lines.
    assert found == {"errors.py", "tensorflow_child.py"}
