"""One recipe by one process, by two workers of Ray, and by a cluster that loses a worker and its head; without it equal
bytes would be known of small recipes only.

.venv/bin/python -m benchmarks.cluster recipes/fashion.yaml FOLDER [local ray disturbed]

Each way has a store of its own below FOLDER; what is there already is not made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "from transfuse.doors.cli import main; main()"]
SAME = ("evidence.json", "recipe.lock.yaml")
AT_WORK = tuple(f"ray::{kind}".encode() for kind in ("extract", "fit", "predict", "count", "search"))
PATIENCE_SECONDS = 600.0
# Shares of the steps after which a worker, and later the head, is killed.
WORKER_AT, HEAD_AT = 0.1, 0.5
STARTS = 5
SPARING = ("--include-dashboard=false", "--include-log-monitor=false", "--no-monitor", "--disable-usage-stats")


def table(recipe: Path, folder: Path, ways: Sequence[str]) -> list[str]:
    """Steps, seconds by the clock, and the start of evidence.json's digest of each way, the local one first."""
    count = len(done(folder / "local"))
    work: dict[str, Callable[[Path, Path], str]] = {
        "local": alone,
        "ray": spread,
        "disturbed": lambda recipe, out: disturbed(recipe, out, count or len(done(folder / "local"))),
    }
    rows = [f"{'':>10} {'steps':>6} {'clock s':>8}  evidence.json"]
    return [*rows, *(line(recipe, folder, way, work[way]) for way in ways)]


def line(recipe: Path, folder: Path, way: str, work: Callable[[Path, Path], str]) -> str:
    """One way of computing the recipe, compared with the first."""
    out, told = folder / way, folder / f"{way}.txt"
    if not told.is_file():
        began = time.monotonic()
        said = work(recipe, out)
        told.write_text(f"{time.monotonic() - began:.0f} {said}", encoding="utf-8")
    seconds, _, said = told.read_text(encoding="utf-8").partition(" ")
    same = all((out / name).read_bytes() == (folder / "local" / name).read_bytes() for name in SAME)
    sha = hashlib.sha256((out / SAME[0]).read_bytes()).hexdigest()[:16]
    return f"{way:>10} {len(done(out)):>6} {seconds:>8}  {sha} {'the same bytes' if same else 'OTHER BYTES'}{said}"


def alone(recipe: Path, out: Path) -> str:
    """One process of this machine."""
    finished(started(recipe, out, "--workers", "1"))
    return ""


def spread(recipe: Path, out: Path) -> str:
    """Two workers of a cluster that nobody disturbs."""
    with cluster() as (address, _):
        finished(started(recipe, out, "--engine", "ray", "--workers", "2", RAY_ADDRESS=address))
    return ""


def disturbed(recipe: Path, out: Path, count: int) -> str:
    """A cluster of two workers: one is killed at work, then the head with all that it holds; another one, and again."""
    with cluster() as (address, head):
        run = started(recipe, out, "--engine", "ray", "--workers", "2", RAY_ADDRESS=address)
        until(lambda: len(done(out)) >= WORKER_AT * count and bool(at_work(head.pid)), run)
        killed = at_work(head.pid)[0]
        os.kill(killed[0], signal.SIGKILL)
        until(lambda: len(done(out)) >= HEAD_AT * count, run)
        kept = len(done(out))
        os.killpg(head.pid, signal.SIGKILL)
        began = time.monotonic()
        run.communicate(timeout=PATIENCE_SECONDS)
        code, waited = run.returncode, time.monotonic() - began
    with cluster() as (address, _):
        finished(started(recipe, out, "--engine", "ray", "--workers", "2", RAY_ADDRESS=address))
    return (
        f"; killed: the worker at '{killed[1]}', after {kept} steps the head, which ended the run with {code} in"
        f" {waited:.0f} s; begun more than once: {again(out)} steps"
    )


@contextlib.contextmanager
def cluster(cpus: int = 2) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A head with so many workers on this machine, in a group of processes of its own; Ray gives it half a minute to
    come up, so on a busy machine it is started again."""
    for _ in range(STARTS):
        port, head = begun(cpus)
        if head.stdout is not None and any(b"--block" in line for line in head.stdout):
            break
        ended(head)
    else:
        raise RuntimeError("Ray could not be started")
    try:
        yield f"127.0.0.1:{port}", head
    finally:
        ended(head)


def begun(cpus: int) -> tuple[int, subprocess.Popen[bytes]]:
    """`ray start --head` at a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = Path(sys.executable).with_name("ray")
    words = ["start", "--head", "--block", f"--port={port}", f"--num-cpus={cpus}", "--node-ip-address=127.0.0.1"]
    head = subprocess.Popen(
        [ray, *words, *SPARING],
        env=settings(),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return port, head


def ended(head: subprocess.Popen[bytes]) -> None:
    """A head and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(head.pid, signal.SIGTERM)
    head.communicate(timeout=PATIENCE_SECONDS)


def settings(**more: str) -> dict[str, str]:
    """The environment: one thread a process, and a cluster that asks for no token."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled", **more}


def started(recipe: Path, out: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    """`transfuse run` in a process of its own, with a store beside its folder."""
    more["TRANSFUSE_STORE"] = f"{out}-store"
    return subprocess.Popen(
        [*COMMAND, "run", str(recipe), "--out", str(out), *words],
        env=settings(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(run: subprocess.Popen[str]) -> None:
    said, _ = run.communicate()
    if run.returncode:
        raise RuntimeError(f"the run ended with {run.returncode}: {said[-2000:]}")


def until(condition: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    """Wait while the run goes on."""
    while not condition():
        if run.poll() is not None:
            finished(run)
            raise RuntimeError("the run had ended before anything was killed")
        time.sleep(0.02)


def events(out: Path) -> list[Mapping[str, Any]]:
    path = out / "journal.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(text) for text in lines if re.search(r'"event": ?"step_', text) and text.endswith("}")]


def done(out: Path) -> set[str]:
    return {event["step"] for event in events(out) if event["event"] == "step_done"}


def again(out: Path) -> int:
    """Steps that were handed out more than once."""
    begun = [event["step"] for event in events(out) if event["event"] == "step_started"]
    return len({step for step in begun if begun.count(step) > 1})


def at_work(starter: int) -> list[tuple[int, str]]:
    """Workers of Ray that carry out a step now, by process and step, of the cluster that process `starter` started.

    A worker is called by its task; its parent is the raylet, whose parent started the cluster.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            ours = words.startswith(AT_WORK) and parent(parent(int(folder.name))) == starter
        except OSError:
            continue
        if ours:
            found.append((int(folder.name), words.strip(b"\0 ").decode().removeprefix("ray::")))
    return found


def parent(process: int) -> int:
    """The process that started this one."""
    return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


if __name__ == "__main__":
    for row in table(Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3:] or ["local", "ray", "disturbed"]):
        print(row)
