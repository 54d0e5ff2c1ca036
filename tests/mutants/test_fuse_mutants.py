"""The fusion contract is tested by planted faults: every law must catch one, and no fault may survive."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from mutants.planted_fusions import FEATURES, OUTPUTS, STRUCTURE
from mutants.planted_weights import IN_LIFT, IN_METHODS, LIFT, MEAN, SOUND, Fault
from transfuse.fusion import weights_lift
from transfuse.fusion.checks import check, checks_for
from transfuse.registry import PACKAGE, Entry, method, read_file

# What the lift takes from its neighbours.
PARTS = {"fusion/preflight.py": ("check",), "fusion/buffers.py": ("integers", "statistics")}
FAULTS = [*IN_METHODS, *IN_LIFT, *FEATURES, *STRUCTURE, *OUTPUTS]


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """(file, changes) -> the changed text as a module file that can be imported, gone after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def plant(file: str, changes: tuple[tuple[str, str], ...]) -> Path:
        text = (PACKAGE / file).read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, f"{file} has {text.count(old)} of: {old}"
            text = text.replace(old, new)
        path = tmp_path / f"planted_{len(names)}.py"
        path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        names.append(path.stem)
        return path

    yield plant
    for name in names:
        sys.modules.pop(name, None)


def sound(name: str, planted) -> Entry:
    if "/" in name:
        return method(name)
    path = planted(MEAN, SOUND[name])
    return read_file("fusion/weights", path, path.stem)


def faulty(fault: Fault, planted, monkeypatch) -> Entry:
    path = planted(fault.file, fault.changes)
    if fault.file in PARTS:
        for part in PARTS[fault.file]:
            monkeypatch.setattr(weights_lift, part, getattr(importlib.import_module(path.stem), part))
        return sound(fault.method, planted)
    if fault.file != LIFT:
        return read_file(str(Path(fault.file).parent), path, path.stem)
    monkeypatch.setattr(weights_lift, "merge_states", importlib.import_module(path.stem).merge_states)
    return sound(fault.method, planted)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.file.removeprefix('fuse/')}-{fault.name}")
def test_no_fault_survives(fault, planted, monkeypatch):
    caught = {result.name: result.message for result in check(faulty(fault, planted, monkeypatch)) if not result.passed}
    print(f"{fault.name}: caught by {', '.join(caught)}")
    assert fault.law in caught, f"{fault.law} passed; caught by: {caught}"


@pytest.mark.parametrize("name", SOUND)
def test_sound_methods_pass(name, planted):
    assert [result for result in check(sound(name, planted)) if not result.passed] == []


def test_every_law_is_tested_by_a_fault(planted):
    entries = [
        *(sound(name, planted) for name in SOUND),
        *(method(name) for name in ("features/concat", "features/gate", "structure/share", "outputs/mean_prob")),
    ]
    laws = {each.name for entry in entries for each in checks_for(entry)}
    assert laws <= {fault.law for fault in FAULTS}
