"""Anybody's method can be checked: by its name, or as a module that is only being written."""

from __future__ import annotations

import importlib
import random
import sys

import numpy as np
import pytest
import torch

from transfuse.errors import UserError
from transfuse.fusion.checks import BrokenLawError, check, checks_for, entry_of
from transfuse.fusion.checks.law import distance, quiet, require_refused, require_same, variants
from transfuse.registry import PACKAGE, Parameter, method

MEAN = (PACKAGE / "fusion/weights/mean.py").read_text(encoding="utf-8")


@pytest.fixture
def written(tmp_path, monkeypatch):
    """(name, text) -> an importable module file, forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(name, text):
        names.append(name)
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


# -- finding what to check ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights/mean", "features/gate", "structure/share", "outputs/mean_prob"])
def test_a_method_is_found_by_its_name_or_its_module(name):
    assert entry_of(name) == entry_of(f"fusion/{name}") == method(name)
    found = entry_of("transfuse.fusion." + name.replace("/", "."))
    assert (found.shelf, found.name, found.digest) == (method(name).shelf, method(name).name, method(name).digest)


@pytest.mark.parametrize(
    ("text", "shelf"),
    [
        ("def merge(unit): ...", "fusion/weights"),
        ("class Fuser: ...", "fusion/features"),
        ("def build(fronts): ...", "fusion/structure"),
        ("def fit(): ...\ndef apply(): ...", "fusion/outputs"),
        ('SHELF = "fusion/outputs"\ndef merge(unit): ...\ndef fit(): ...\ndef apply(): ...', "fusion/outputs"),
    ],
)
def test_the_family_follows_from_what_a_module_defines(text, shelf, written):
    assert entry_of(written("somebodys", text)).shelf == shelf


def test_a_name_decides_between_two_families(written):
    written("both_ways", "def merge(unit): ...\ndef build(fronts): ...\ndef helper(): ...")
    assert entry_of("both_ways:build").shelf == "fusion/structure"
    assert entry_of("both_ways:merge").shelf == "fusion/weights"
    for spec in ("both_ways", "both_ways:helper"):
        with pytest.raises(UserError, match="no method of one family"):
            entry_of(spec)
    with pytest.raises(UserError, match="unknown function or class 'buidl'"):
        entry_of("both_ways:buidl")


def test_a_file_is_read_and_not_run(written):
    assert entry_of(written("loud", "def merge(unit): ...\nraise SystemExit")).shelf == "fusion/weights"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "no method of one family"),
        ("def fit(): ...", "no method of one family"),
        ("def merge(:", "no Python that can be read"),
        ('SHELF = "fuse/wieghts"\ndef merge(unit): ...', "unknown SHELF 'fuse/wieghts'"),
        ('SHELF = "fusion/outputs"\ndef merge(unit): ...', "no method of one family"),
        ("PARAMETERS = dict(a=1)\ndef merge(unit): ...", "must be a literal"),
    ],
)
def test_what_is_no_method_is_one_clean_message(text, message, written):
    with pytest.raises(UserError, match=message):
        entry_of(written("nothing", text))


@pytest.mark.parametrize("spec", ["no.such.module", "no_such", "", ":merge", "weights/maen", "sys", ".relative"])
def test_what_cannot_be_found_is_one_clean_message(spec):
    with pytest.raises(UserError):
        entry_of(spec)


# -- running the checks ------------------------------------------------------------------------------------------------


def test_a_plugin_keeps_or_breaks_the_same_laws_as_ours(written):
    assert all(result.passed for result in check(entry_of(written("sound_mean", MEAN))))
    broken = MEAN.replace("share = unit.w / unit.w.sum()", "share = unit.w").replace(
        "return unit.w / unit.w.sum()", "return unit.w"
    )
    results = {result.name: result for result in check(entry_of(written("broken_mean", broken)))}
    assert not results["same_for_copies"].passed
    assert "differs by" in results["same_for_copies"].message
    assert results["form"].passed


def test_any_fault_of_a_method_is_a_result(written):
    odd = "class OddError(Exception): ...\n\n\ndef merge(unit: Unit) -> Any:\n    raise OddError('no')\n\n\ndef other"
    results = check(entry_of(written("odd_mean", MEAN.replace("def merge", odd))))
    assert "OddError: no" in {result.message for result in results}
    stopped = check(entry_of(written("stopped", f"{MEAN}\nraise KeyError('at import')")))
    assert any("KeyError" in result.message for result in stopped)


def test_only_the_laws_of_declared_traits_apply(written):
    text = MEAN.replace('"symmetric": True', '"symmetric": False')
    names = {each.name for each in checks_for(entry_of(written("one_sided", text)))}
    assert "permutation" not in names
    assert "permutation" in {each.name for each in checks_for(method("weights/mean"))}


def test_other_shelves_have_no_contract_here(written):
    from transfuse.registry import find

    with pytest.raises(UserError, match="no contract"):
        checks_for(find("evaluation/metrics", "accuracy"))


# -- the tools of the laws ---------------------------------------------------------------------------------------------


def test_distance_is_relative_and_never_blind():
    assert distance([1.0, 2.0], [1.0, 2.0]) == 0.0
    assert distance([103.0], [99.0]) == pytest.approx(0.04)
    assert distance([np.nan], [np.nan]) == distance([1.0], [[1.0]]) == float("inf")
    assert distance([], []) == 0.0
    with pytest.raises(BrokenLawError, match="the thing: differs by"):
        require_same([1.0], [2.0], "the thing")


def test_a_refusal_must_name_what_it_is_about():
    def refuse():
        raise UserError("tensor 'a' is odd")

    require_refused(refuse, "'a'", case="odd")
    with pytest.raises(BrokenLawError, match="does not name source"):
        require_refused(refuse, "source", case="odd")
    with pytest.raises(BrokenLawError, match="accepted"):
        require_refused(lambda: None, case="odd")


@pytest.mark.parametrize(
    "touch",
    [
        random.random,
        lambda: random.seed(0),
        lambda: np.random.rand(),  # noqa: NPY002 the fault that must be seen
        lambda: np.random.seed(0),  # noqa: NPY002
        lambda: torch.rand(1),
        lambda: torch.manual_seed(0),
    ],
)
def test_a_touched_global_state_is_seen_and_given_back(touch, global_random_state):
    touch()
    before = global_random_state()
    with pytest.raises(BrokenLawError, match="it moves a global random state"), quiet("it"):
        touch()
    assert global_random_state() == before


@pytest.mark.parametrize("name", ["features/concat", "features/gate", "structure/share"])
def test_variants_move_every_parameter_within_its_range(name):
    entry = method(name)
    default, moved = variants(entry)
    assert default == entry.settings({})
    assert all(moved[key] != default[key] for key in entry.parameters)
    assert not [text for key, value in moved.items() if (text := entry.parameters[key].problem(value))]


@pytest.mark.parametrize(
    "facts",
    [
        {"type": "int", "default": 3, "low": 0, "high": 3},
        {"type": "float", "default": 1.0, "low": 0.0, "high": 1.0},
        {"type": "str", "default": "a", "options": ("a", "b")},
        {"type": "bool", "default": True},
        {"type": "int", "default": 5},
    ],
)
def test_a_parameter_at_its_bound_moves_too(facts):
    from transfuse.fusion.checks.law import _moved

    parameter = Parameter("p", **facts)
    moved = _moved(parameter)
    assert moved != parameter.default
    assert parameter.problem(moved) is None
