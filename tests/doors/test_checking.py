"""A method may not ask for what a recipe would never give it."""

from __future__ import annotations

import pytest

from transfuse.doors.checking import words
from transfuse.fusion.checks import entry_of
from transfuse.registry import shelf

LAWS = {"fusion/features": "class Fuser: ...", "fusion/outputs": "def fit(): ...\ndef apply(): ..."}


@pytest.mark.parametrize(
    ("home", "name", "passed"),
    [
        ("fusion/features", "train", False),
        ("fusion/features", "align", False),
        ("fusion/outputs", "of", False),
        ("fusion/features", "width", True),
    ],
)
def test_a_parameter_called_as_a_word_of_the_recipe_is_refused(home, name, passed, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    text = f'PARAMETERS = {{"{name}": {{"type": "int", "default": 1, "doc": "x"}}}}\n{LAWS[home]}\n'
    module = f"plugin_with_{name}_in_{home.rpartition('/')[2]}"
    (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
    found = words(entry_of(module))
    assert found.passed is passed and (passed or f"reads {name} as its own" in found.message)


@pytest.mark.parametrize(
    "home", ["fusion/features", "fusion/structure", "fusion/weights", "fusion/outputs", "compress"]
)
def test_no_method_of_ours_asks_for_one(home):
    assert [entry.full_name for entry in shelf(home).values() if not words(entry).passed] == []
