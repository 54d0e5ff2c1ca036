"""What the doors cost: `--help`, and a run in which nothing has to be computed."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = [sys.executable, "-c", "from transfuse.doors.cli import main; main()"]


def table() -> list[str]:
    """All rows."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TRANSFUSE_STORE": str(Path(folder) / "store")}
        demo = ["demo", "--out", str(Path(folder) / "demo")]
        first = _cpu_seconds([*COMMAND, *demo], environment)
        again = statistics.median(_cpu_seconds([*COMMAND, *demo], environment) for _ in range(5))
        shown = statistics.median(_cpu_seconds([*COMMAND, "--help"], environment) for _ in range(10))
        bare = statistics.median(_cpu_seconds([sys.executable, "-c", "import torch"], environment) for _ in range(3))
    return [
        f"{'--help, CPU seconds, median of 10':<58} {shown:6.2f}  ≤ 0.5 wanted",
        f"{'--help / import torch':<58} {shown / bare:6.2f}",
        f"{'demo, first run, CPU seconds':<58} {first:6.1f}  ≤ 120 wanted",
        f"{'demo, nothing to compute, CPU seconds, median of 5':<58} {again:6.2f}",
        f"{'demo again / first run':<58} {again / first:6.3f}",
    ]


def _cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
