"""How much memory of its own a command takes, and whether it does with less; without it "streams" would be a word."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def peak(words: Sequence[str], environment: Mapping[str, str]) -> float:
    """The most private memory that the command's process had, in MB, looked at every 10 ms."""
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=dict(environment))
    most = 0
    while running.poll() is None:
        most = max(most, _private_kilobytes(running.pid))
        time.sleep(0.01)
    if running.returncode:
        raise RuntimeError(f"{words[0]} ended with {running.returncode}")
    return most / 1000


def limited(words: Sequence[str], environment: Mapping[str, str], megabytes: int) -> str:
    """What becomes of the command where its private memory may not exceed so much."""
    shell = ["bash", "-c", f'ulimit -d {megabytes * 1000}; exec "$@"', "bash", *words]
    done = subprocess.run(shell, check=False, capture_output=True, env=dict(environment))
    return "merged under the limit" if done.returncode == 0 else f"fails under it: {done.stderr.decode()[-300:]}"


def _private_kilobytes(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)
