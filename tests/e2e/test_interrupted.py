"""Killed at any moment, a run continues and ends with the same bytes; the journal shows where the kill fell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2e.house import environment, events, executed, forked, started, wait_for, write_recipe
from transfuse.store import Store

KILLS = [("extract", 2), ("train", 2), ("evaluate", 1)]
DYING = """
import os, sys
import transfuse.store as store
count, real = 0, store.write_bytes
def write(path, data):
    global count
    count += 1
    if count == 30:
        path.write_bytes(data[: len(data) // 2])
        os._exit(9)
    real(path, data)
store.write_bytes = write
from transfuse.doors.cli import main
sys.argv = ["transfuse", "run", "small.yaml"]
main()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The folder of a run that nobody disturbed, and its evidence."""
    folder = tmp_path_factory.mktemp("whole")
    write_recipe(folder)
    result = forked("run", "small.yaml", store=folder / "store", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, (folder / "runs" / "small" / "evidence.json").read_bytes()


def inside(out: Path, before: int, kind: str, count: int) -> bool:
    """Whether the run whose journal begins after `before` lines is in its count-th step of this kind."""
    seen = events(out)[before:]
    if not seen or seen[-1]["event"] not in ("step_started", "progress"):
        return False
    begun = [event for event in seen if event["event"] == "step_started" and event["kind"] == kind]
    return len(begun) >= count and begun[-1]["step"] == seen[-1]["step"]


def killed(folder: Path, kind: str, count: int) -> None:
    """Begin or go on with the run, and kill it in the middle of a step."""
    out = folder / "runs" / "small"
    before = len(events(out))
    process = started("run", "small.yaml", store=folder / "store", cwd=folder)
    wait_for(lambda: inside(out, before, kind, count) or process.exitcode is not None)
    process.kill()
    process.join()
    last = events(out)[-1]
    assert last["event"] in ("step_started", "progress"), last


def test_a_run_killed_in_every_phase_and_inside_a_write_ends_with_the_same_evidence(tmp_path, whole):
    write_recipe(tmp_path)
    died = subprocess.run(
        [sys.executable, "-c", DYING],
        env=environment(tmp_path / "store"),
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
    )
    assert died.returncode == 9
    assert any((tmp_path / "store" / "scratch").iterdir()), "half of a write was left"
    for kind, count in KILLS:
        killed(tmp_path, kind, count)
    result = forked("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "runs" / "small" / "evidence.json").read_bytes() == whole[1]


def test_damaged_artifacts_are_made_again(whole):
    folder, evidence = whole
    store, out = Store(folder / "store"), folder / "runs" / "small"
    keys = {event["step"]: event["key"] for event in events(out) if event["event"] == "step_done"}
    for step in ("evaluate", "fit concat s1", "extract residual.vector s0"):
        path = next(store.folder(keys[step]).glob("*a*.json"), store.folder(keys[step]) / "meta.json")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    (out / "evidence.json").unlink()
    result = forked("run", "small.yaml", store=folder / "store", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert (out / "evidence.json").read_bytes() == evidence
    assert {"evaluate", "fit concat s1"} <= set(executed(out))


def test_two_runs_in_one_folder_the_second_is_told_who_has_it(tmp_path):
    write_recipe(tmp_path)
    first = started("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
    try:
        wait_for(lambda: (tmp_path / "runs" / "small" / ".holder").exists())
        second = forked("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
        assert second.returncode == 2
        assert f"process {first.pid}" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        first.kill()
        first.join()
