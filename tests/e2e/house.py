"""A small real run through the installed command line, and what tests need to look at it."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from haste import hasten

COMMAND = [sys.executable, "-c", "from transfuse.doors.cli import main; main()"]
RECIPE = """
sources:
  residual: {spec: "demo:residual", seen: none}
  depthwise: {spec: "demo:depthwise", seen: none}
data: {read: "sklearn:digits", splits: {per_class: 5, val: 60, test: 200}, canvas: 28}
candidates: [features/concat]
train: {frozen: {epochs: 4, rates: [0.01], least_steps: 20}}
seeds: 2
"""


def environment(store: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "TRANSFUSE_STORE": str(store), "COLUMNS": "100", **more}


def transfuse(*words: str, store: Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end, in a process of its own."""
    return subprocess.run(
        [*COMMAND, *words], env=environment(store, **more), cwd=cwd, capture_output=True, text=True, timeout=300
    )


OUTPUTS = ("stdout", "stderr")
# What every run imports: a process forked after that starts in no time instead of seconds.
IMPORTED = ["torch", "scipy.stats", "sklearn.datasets", "transfuse.doors.cli", "transfuse.run.run", "transfuse.report"]


def forked(*words: str, store: Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end, in a process of its own that was forked from a clean one with everything imported."""
    with tempfile.TemporaryDirectory() as said:
        process = started(*words, store=store, cwd=cwd, said=said, **more)
        process.join(300)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"transfuse {' '.join(words)}")
        stdout, stderr = ((Path(said) / name).read_text(encoding="utf-8") for name in OUTPUTS)
    return subprocess.CompletedProcess(words, process.exitcode, stdout, stderr)


def started(*words: str, store: Path, cwd: Path, said: str = "", **more: str) -> BaseProcess:
    """One command, forked and not waited for; what it says is lost, or kept in the folder `said`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_child, args=(words, environment(store, **more), str(cwd), said))
    process.start()
    return process


def _child(words: tuple[str, ...], settings: dict[str, str], cwd: str, said: str) -> None:
    os.environ.clear()
    os.environ.update(settings)
    os.chdir(cwd)
    for number, name in enumerate(OUTPUTS, start=1):
        os.dup2(os.open(os.path.join(said, name) if said else os.devnull, os.O_WRONLY | os.O_CREAT), number)
        setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
    sys.argv = ["transfuse", *words]
    from transfuse.doors.cli import main

    hasten()
    main()


def write_recipe(folder: Path, text: str = RECIPE, name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def events(out: Path) -> list[dict]:
    """The journal's lines."""
    path = out / "journal.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def executed(out: Path) -> list[str]:
    """The steps computed by the last run in this folder."""
    found: list[str] = []
    for event in events(out):
        if event["event"] == "run_started":
            found = []
        elif event["event"] == "step_done":
            found.append(event["step"])
    return found


def evidence(out: Path) -> dict:
    return json.loads((out / "evidence.json").read_text(encoding="utf-8"))


def wait_for(condition, seconds: float = 200.0) -> None:
    """Until the condition holds; fails when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
