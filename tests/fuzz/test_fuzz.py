"""Every reader of foreign bytes, given thousands of damaged files: a value or one clean message, and nothing runs.

A case is named by its reader and number: `python -c "from fuzz.test_fuzz import shown; shown('npz', 17)"` (with `src`
and `tests` on the path) writes that file again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fuzz import arrays, packages, texts
from fuzz.law import Target, broken, lawless
from fuzz.mutations import mutated

TARGETS = {target.name: target for target in (*arrays.targets(), *texts.targets(), *packages.targets())}
CHEAP_SHARE = 70
SLICES = 4


@pytest.fixture
def fast() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of small files are written."""
    shared = Path("/dev/shm")
    usable = shared.is_dir() and os.access(shared, os.W_OK)
    with tempfile.TemporaryDirectory(dir=shared if usable else None) as folder:
        yield Path(folder)


def shown(name: str, number: int) -> Path:
    """Write a case's file into the working directory."""
    path = Path(Path(TARGETS[name].file).name)
    path.write_bytes(TARGETS[name].case(number))
    return path


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if not target.slow])
def test_a_damaged_file_is_read_or_refused_in_one_message(name: str, fast: Path):
    found = broken(TARGETS[name], range(TARGETS[name].cases // CHEAP_SHARE), fast)
    assert not found, "\n".join(found)


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(SLICES))
@pytest.mark.parametrize("name", TARGETS)
def test_every_damaged_file_is_read_or_refused_in_one_message(name: str, part: int, fast: Path):
    found = broken(TARGETS[name], range(part, TARGETS[name].cases, SLICES), fast)
    assert not found, "\n".join(found)


def test_all_cases_together_are_what_is_promised():
    assert sum(target.cases for target in TARGETS.values()) >= 100_000


def test_a_case_is_the_same_whenever_it_is_made():
    for name in ("npz", "recipe", "pytorch"):
        first = [TARGETS[name].case(number) for number in range(20)]
        assert first == [TARGETS[name].case(number) for number in range(20)]
        assert len(set(first)) > 15


def test_changes_differ_by_stream_and_number():
    made = {mutated([bytes(64)], [b"word"], stream, number) for stream in "ab" for number in range(50)}
    assert len(made) > 80


def crash(path: Path) -> None:
    os.kill(os.getpid(), 11)


def run_it(path: Path) -> None:
    os.system(f"touch {path}.ran")


def write_it(path: Path) -> None:
    path.with_name("more").write_bytes(b"x")


def fill_memory(path: Path) -> None:
    np.ones(1 << 28)


def stumble(path: Path) -> None:
    raise IndexError("of this")


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        (crash, "SIGSEGV"),
        (run_it, "os.system"),
        (write_it, "open"),
        (fill_memory, "MemoryError"),
        (stumble, "IndexError"),
    ],
)
def test_a_reader_that_breaks_the_law_is_caught(reader, says, fast: Path):
    """Planted: what crashes, runs a command, writes, takes two gigabytes or raises something else is told of."""
    target = Target("planted", "f", [], reader)
    found = lawless([("first", b"x"), ("second", b"y")], target, fast)
    assert len(found) == 2
    assert all(says in line for line in found)


def test_a_reader_that_hangs_is_caught(fast: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fuzz.law.SECONDS", 0.2)

    def hang(path: Path) -> None:
        while True:
            pass

    assert "no end" in lawless([("only", b"x")], Target("planted", "f", [], hang), fast)[0]
