from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from transfuse import registry
from transfuse.errors import UserError
from transfuse.registry import FAMILIES, Entry, Parameter, find, method, read_file, shelf

SHELVES = (
    *(f"fusion/{family}" for family in FAMILIES),
    "conditions",
    "source/adapters", "data/readers", "evaluation/metrics", "evaluation/questions", "report/sections", "steps",
)  # fmt: skip
ENTRIES = [entry for name in SHELVES for entry in shelf(name).values()]
PARAMETERS = [(entry, parameter) for entry in ENTRIES for parameter in entry.parameters.values()]

METHOD = '''"""Keeps the first block.

More words.
"""
CITATION: str = "Doe, 2020"
PARAMETERS = {
    "width": {"type": "int", "default": 4, "low": 1, "high": 9},
    "mode": {"type": "str", "default": "a", "options": ("a", "b")},
}
TRAITS = {"accepts": "vector"}
NEEDS = ("torch",)
REVISION = 3
raise RuntimeError("this file must not run")
'''


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "first.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.shelf}/{entry.name}")
def test_what_a_file_declares_is_what_it_has_when_imported(entry: Entry) -> None:
    module = entry.load()
    declared = {name: Parameter(name, **facts) for name, facts in getattr(module, "PARAMETERS", {}).items()}
    assert dict(entry.parameters) == declared
    assert entry.traits == getattr(module, "TRAITS", {})
    assert entry.cost == getattr(module, "COST", {})
    assert entry.citation == getattr(module, "CITATION", "")
    assert entry.needs == tuple(getattr(module, "NEEDS", ()))
    assert (entry.revision, entry.order) == (getattr(module, "REVISION", 1), getattr(module, "ORDER", 100))
    assert module.__doc__ is not None
    assert entry.law == module.__doc__.strip().splitlines()[0]
    assert Path(str(module.__file__)) == entry.path


@pytest.mark.parametrize("name", SHELVES)
def test_every_shelf_holds_every_file_of_its_folder(name: str) -> None:
    stems = {path.stem for path in registry.PACKAGE.joinpath(*name.split("/")).glob("[!_]*.py")}
    assert stems
    assert set(shelf(name)) >= stems
    assert all(shelf(name)[stem].law for stem in stems)


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.shelf.startswith("fusion/")], ids=lambda e: e.full_name
)
def test_every_method_has_a_source_and_is_found_by_family_and_name(entry: Entry) -> None:
    assert entry.citation
    assert method(entry.full_name) == entry
    assert all(parameter.doc for parameter in entry.parameters.values())
    assert entry.settings({}) == {name: parameter.default for name, parameter in entry.parameters.items()}


@pytest.mark.parametrize(("entry", "parameter"), PARAMETERS, ids=lambda item: getattr(item, "name", ""))
def test_every_declared_parameter_takes_its_default_and_its_edges_and_nothing_else(
    entry: Entry, parameter: Parameter
) -> None:
    edges = [parameter.default, parameter.low, parameter.high, *parameter.options]
    assert [parameter.problem(edge) for edge in edges if edge is not None] == [None] * sum(e is not None for e in edges)
    refused: list[Any] = [parameter.invalid(), object(), {}]
    refused += [parameter.high + 1] if parameter.high is not None else []
    refused += [None] if parameter.default is not None else []
    refused += [True, float("nan"), "1"] if parameter.type in ("int", "float") else []
    for value in refused:
        said = parameter.problem(value)
        assert said is not None
        assert said.startswith(f"{parameter.name} must be ")
        with pytest.raises(UserError, match="refuses its parameters"):
            entry.settings({parameter.name: value})


def test_parameters_are_declared_somewhere_so_that_the_test_above_means_something() -> None:
    assert {parameter.type for _, parameter in PARAMETERS} >= {"int", "float"}


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        (Parameter("p", "int", 1), [0, -5], [1.0, True, "1", None]),
        (Parameter("p", "float", 1.0, low=0.0, high=1.0), [0, 1, 0.5], [-0.1, 1.1, float("inf"), False]),
        (Parameter("p", "bool", True), [True, False], [0, 1, "yes"]),
        (Parameter("p", "str", "a", options=("a", "b")), ["a", "b"], ["c", "", 1]),
        (Parameter("p", "str", None), [None, "x"], [3]),
        (Parameter("p", "list", []), [[1], (), ["a"]], ["ab", 3, {}]),
    ],
)
def test_a_parameter_knows_its_type_and_range(parameter: Parameter, good: list[Any], bad: list[Any]) -> None:
    assert [parameter.problem(value) for value in good] == [None] * len(good)
    assert all(parameter.problem(value) for value in [*bad, parameter.invalid()])


def test_a_parameter_tells_its_range_in_words() -> None:
    assert Parameter("p", "float", 0.5, low=0.0, high=1.0).describe() == "a number from 0 to 1"
    assert Parameter("p", "str", "a", options=("a", "b")).describe() == "one of a, b"


def test_a_file_is_read_without_running_it(written: Callable[[str], Path]) -> None:
    entry = read_file("fusion/features", written(METHOD), "somewhere.first")
    assert (entry.name, entry.full_name, entry.law) == ("first", "features/first", "Keeps the first block.")
    assert (entry.citation, entry.needs, entry.revision, entry.order) == ("Doe, 2020", ("torch",), 3, 100)
    assert entry.settings({"width": 7}) == {"width": 7, "mode": "a"}


def test_the_digest_follows_the_file(written: Callable[[str], Path]) -> None:
    path = written(METHOD)
    entry = read_file("fusion/features", path, "m")
    assert entry.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    changed = read_file("fusion/features", written(METHOD + "# changed\n"), "m")
    assert changed.digest != entry.digest


def test_all_bad_settings_are_one_error(written: Callable[[str], Path]) -> None:
    entry = read_file("fusion/features", written(METHOD), "m")
    with pytest.raises(UserError) as caught:
        entry.settings({"width": 10, "mode": "c"}, where="recipe, candidates.x")
    assert "width must be a whole number from 1 to 9, got 10" in str(caught.value)
    assert "mode must be one of a, b, got 'c'" in str(caught.value)
    assert caught.value.where == "recipe, candidates.x"


def test_an_unknown_setting_offers_the_nearest(written: Callable[[str], Path]) -> None:
    with pytest.raises(UserError, match="unknown parameter of features/first 'widht'") as caught:
        read_file("fusion/features", written(METHOD), "m").settings({"widht": 3})
    assert caught.value.hint == "width"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("TRAITS = dict(a=1)\n", "TRAITS must be a literal"),
        ("TRAITS = {[]: 1}\n", "TRAITS must be a literal"),
        ("def broken(:\n", "is not Python"),
        ('PARAMETERS = {"a": {"type": "int", "default": 1, "lower": 0}}\n', "'a' is not declared as it should be"),
        ('PARAMETERS = {"a": {"type": "integer", "default": 1}}\n', "unknown type of a parameter 'integer'"),
        ('COST = {"seconds": 1}\n', "COST is not declared as it should be"),
        ('COST = {"microseconds": 1, "times": ["trees"]}\n', "unknown parameter in COST 'trees'"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_its_path(written: Callable[[str], Path], text: str, said: str) -> None:
    path = written(text)
    with pytest.raises(UserError, match=said) as caught:
        read_file("fusion/features", path, "m")
    assert str(path) in str(caught.value)


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown metrics 'acuracy'") as caught:
        find("evaluation/metrics", "acuracy")
    assert "accuracy" in (caught.value.hint or "").split(" or ")
    with pytest.raises(UserError, match="unknown method 'features/concatenate'") as caught:
        method("features/concatenate", where="recipe")
    assert "features/concat" in str(caught.value.hint)
    assert find("evaluation/metrics", "accuracy").full_name == "evaluation/metrics/accuracy"


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Install one plugin module under an entry point's name, and forget it afterwards."""
    monkeypatch.syspath_prepend(tmp_path)

    def plug(name: str, module: str, text: str | None = None) -> None:
        if text is not None:
            (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
        points = [EntryPoint(name=name, value=module, group="transfuse.fusion.features")]
        monkeypatch.setattr(registry, "entry_points", lambda group: [point for point in points if point.group == group])
        shelf.cache_clear()

    yield plug
    shelf.cache_clear()
    sys.modules.pop("a_plugin", None)


def test_a_plugin_stands_on_the_shelf_under_its_entry_points_name(plugged: Callable[..., None]) -> None:
    plugged("mixing", "a_plugin", METHOD.replace("raise RuntimeError", "WORKS = str"))
    entry = method("features/mixing")
    assert (entry.name, entry.module, entry.revision) == ("mixing", "a_plugin", 3)
    assert entry.load().WORKS == "this file must not run"
    assert "concat" in shelf("fusion/features")
    assert "mixing" not in shelf("fusion/outputs")


def test_a_plugin_is_listed_without_running_it(plugged: Callable[..., None]) -> None:
    plugged("mixing", "a_plugin", METHOD)
    assert find("fusion/features", "mixing").law == "Keeps the first block."
    assert "a_plugin" not in sys.modules


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("no_such_module", None, "plugin 'mixing' names the module 'no_such_module'"),
        ("no_such_package.inner", None, "plugin 'mixing' names the module 'no_such_package.inner'"),
        ("a_plugin.inner", "import gone", "plugin 'mixing' cannot be imported\n.*No module named 'gone'"),
        ("a_plugin.inner", "WHOLE = 1", "plugin 'mixing' names the module 'a_plugin.inner'"),
        ("a_plugin.inner", "1 / 0", "plugin 'mixing' cannot be imported\n.*ZeroDivisionError: division by zero"),
        ("a_plugin", "this is no Python", "this fusion/features file is not Python"),
        ("a_plugin", "CITATION = str(1)", "CITATION must be a literal"),
    ],
)
def test_a_broken_plugin_is_warned_of_once_left_out_and_an_error_where_it_is_asked_for(
    plugged: Callable[..., None], module: str, text: str | None, said: str
) -> None:
    plugged("mixing", "a_plugin", text)
    plugged("mixing", module)
    with pytest.warns(UserWarning, match=f"(?s){said}.*left out of fusion/features") as warned:
        entries = shelf("fusion/features")
    assert len(warned) == 1
    assert "concat" in entries and "mixing" not in entries
    assert method("features/concat").name == find("fusion/features", "concat").name == "concat"
    for ask in (
        lambda: find("fusion/features", "mixing"),
        lambda: method("features/mixing"),
        lambda: entries["mixing"],
    ):
        with pytest.raises(UserError, match=f"(?s){said}"):
            ask()
    with pytest.raises(KeyError):
        entries["never"]


def test_a_plugin_that_fails_when_it_is_imported_is_named(plugged: Callable[..., None]) -> None:
    plugged("mixing", "a_plugin", METHOD)
    with pytest.raises(UserError, match=r"(?s)plugin 'features/mixing' cannot be imported.*this file must not run"):
        method("features/mixing").load()


def test_a_plugin_cannot_take_the_name_of_another(plugged: Callable[..., None]) -> None:
    plugged("concat", "a_plugin", METHOD)
    with pytest.raises(UserError, match="plugin 'concat' clashes with features/concat"):
        shelf("fusion/features")
