"""Killed at any moment, a run continues and ends with the same bytes; the journal shows where the kill fell."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from e2e.house import events, started, transfuse, wait_for, write_recipe
from transfuse.store import Store


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """The evidence of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    write_recipe(folder)
    result = transfuse("run", "small.yaml", store=folder / "store", cwd=folder)
    assert result.returncode == 0, result.stderr
    return (folder / "runs" / "small" / "evidence.json").read_bytes()


def inside(out: Path, kind: str, count: int) -> bool:
    """Whether the run is in the middle of the count-th step of this kind."""
    seen = events(out)
    if not seen or seen[-1]["event"] not in ("step_started", "progress"):
        return False
    begun = [event for event in seen if event["event"] == "step_started" and event["kind"] == kind]
    return len(begun) >= count and begun[-1]["step"] == seen[-1]["step"]


@pytest.mark.parametrize(
    ("kind", "count"), [("extract", 2), ("train", 1), ("train", 4), ("predict", 3), ("evaluate", 1)]
)
def test_a_killed_run_continues_to_the_same_evidence(tmp_path, whole, kind, count):
    write_recipe(tmp_path)
    out = tmp_path / "runs" / "small"
    process = started("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
    wait_for(lambda: inside(out, kind, count) or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    last = events(out)[-1]
    assert last["event"] in ("step_started", "progress"), last
    result = transfuse("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (out / "evidence.json").read_bytes() == whole


def test_a_kill_inside_a_store_write_leaves_nothing_that_is_read(tmp_path, whole):
    write_recipe(tmp_path)
    dying = (
        "import os, sys\n"
        "import transfuse.store as store\n"
        "count, real = 0, store.write_bytes\n"
        "def write(path, data):\n"
        "    global count\n"
        "    count += 1\n"
        "    if count == 60:\n"
        "        path.write_bytes(data[: len(data) // 2])\n"
        "        os._exit(9)\n"
        "    real(path, data)\n"
        "store.write_bytes = write\n"
        "from transfuse.doors.cli import main\n"
        "sys.argv = ['transfuse', 'run', 'small.yaml']\n"
        "main()\n"
    )
    import subprocess
    import sys

    from e2e.house import environment

    died = subprocess.run(
        [sys.executable, "-c", dying],
        env=environment(tmp_path / "store"),
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
    )
    assert died.returncode == 9
    assert any((tmp_path / "store" / "scratch").iterdir())
    result = transfuse("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "runs" / "small" / "evidence.json").read_bytes() == whole


def test_damaged_artifacts_are_made_again(tmp_path, whole):
    write_recipe(tmp_path)
    assert transfuse("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path).returncode == 0
    store = Store(tmp_path / "store")
    out = tmp_path / "runs" / "small"
    keys = {event["step"]: event["key"] for event in events(out) if event["event"] == "step_done"}
    for step in (
        "evaluate",
        "fit concat s1",
        "extract residual.vector s0" if "extract residual.vector s0" in keys else "index",
    ):
        path = next(store.folder(keys[step]).glob("*a*.json"), store.folder(keys[step]) / "meta.json")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    (out / "evidence.json").unlink()
    result = transfuse("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (out / "evidence.json").read_bytes() == whole


def test_two_runs_in_one_folder_the_second_is_told_who_has_it(tmp_path):
    write_recipe(tmp_path)
    first = started("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
    try:
        wait_for(lambda: (tmp_path / "runs" / "small" / ".holder").exists())
        second = transfuse("run", "small.yaml", store=tmp_path / "store", cwd=tmp_path)
        assert second.returncode == 2
        assert f"process {first.pid}" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        first.kill()
        first.wait()
