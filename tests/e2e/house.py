"""A small real run through the installed command line, and what tests need to look at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from transfuse.doors.cli import main; main()"]
RECIPE = """
sources: {residual: {spec: "demo:residual", seen: none}, depthwise: {spec: "demo:depthwise", seen: none}}
data: {read: "sklearn:digits", splits: {per_class: 5, val: 60, test: 200}, canvas: 28}
candidates: [features/concat]
train: {frozen: {epochs: 4, rates: [0.01], least_steps: 20}}
seeds: 2
"""


def environment(store: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "TRANSFUSE_STORE": str(store), "COLUMNS": "100", **more}


def transfuse(*words: str, store: Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end."""
    return subprocess.run(
        [*COMMAND, *words], env=environment(store, **more), cwd=cwd, capture_output=True, text=True, timeout=300
    )


def started(*words: str, store: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """One command, not waited for."""
    return subprocess.Popen(
        [*COMMAND, *words], env=environment(store), cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


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
