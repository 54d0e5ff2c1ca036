"""Faults at named moments of a real run, in a process of its own: death, a full disk, a clock that jumps, less memory.

A fault is planted in the child before the command line starts; the package itself knows nothing of it.
"""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path

from e2e.house import IMPORTED, _child, environment, wait_for
from transfuse.store import half_of

RECIPE = """
sources:
  residual: {spec: "demo:residual", seen: none}
  depthwise: {spec: "demo:depthwise", seen: none}
data: {read: "sklearn:digits", splits: {per_class: 3, val: 40, test: 60}, canvas: 16}
ladder: quick
candidates: [features/concat]
train: {frozen: {epochs: 1, rates: [0.01], least_steps: 5}}
seeds: 1
"""
NAME = "tiny.yaml"
Fault = Callable[[int], None]


def begun(
    folder: Path, fault: str = "", at: int = 0, out: str = "run", workers: int = 1, said: str = ""
) -> BaseProcess:
    """The run, forked and not waited for, with a fault planted in it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    words = ("run", NAME, "--out", out, "--workers", str(workers))
    settings = environment(folder / "store")
    process = context.Process(target=_faulty, args=(words, settings, str(folder), said, fault, at))
    process.start()
    return process


def ended(folder: Path, fault: str = "", at: int = 0, **how: object) -> tuple[int | None, str]:
    """The run with this fault to its end: exit code, and what it said."""
    said = folder / "said"
    said.mkdir(exist_ok=True)
    for path in said.iterdir():
        path.unlink()
    process = begun(folder, fault, at, said=str(said), **how)  # pyright: ignore[reportArgumentType]
    process.join(300)
    if process.exitcode is None:
        process.kill()
    return process.exitcode, "".join(path.read_text(encoding="utf-8") for path in sorted(said.iterdir()))


def killed_after(folder: Path, seconds: float, **how: object) -> None:
    """Begin or go on with the run, and kill it after a while, wherever it then is."""
    process = begun(folder, **how)  # pyright: ignore[reportArgumentType]
    time.sleep(seconds)
    process.kill()
    process.join()


def worker_killed(folder: Path, rng: random.Random) -> tuple[int | None, str]:
    """The run with two workers, one of which is killed while steps run; exit code and what it said."""
    said = folder / "said"
    said.mkdir(exist_ok=True)
    process = begun(folder, workers=2, said=str(said))
    wait_for(lambda: len(_workers(process.pid or 0)) > 1 or process.exitcode is not None)
    time.sleep(rng.uniform(0, 3))
    for child in _workers(process.pid or 0)[-1:]:
        os.kill(child, 9)
    process.join(300)
    return process.exitcode, (said / "stderr").read_text(encoding="utf-8")


def _workers(parent: int) -> list[int]:
    """The processes that a process started, but for the one that only looks after shared memory."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    found = [int(word) for word in children.read_text(encoding="ascii").split()] if children.exists() else []
    commands = {child: Path(f"/proc/{child}/cmdline") for child in found}
    return [child for child, path in commands.items() if path.exists() and b"spawn_main" in path.read_bytes()]


def flip(path: Path, rng: random.Random) -> None:
    """One bit of a file turned, as a bad disk does: nothing else of it changes."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content))


def _faulty(words: tuple[str, ...], settings: dict[str, str], cwd: str, said: str, fault: str, at: int) -> None:
    if fault:
        FAULTS[fault](at)
    _child(words, settings, cwd, said)


def _write(changed: Callable[[Path, bytes, int, Callable[[Path, bytes], None]], None]) -> None:
    """Put something else in the place of the one function that writes files, in all modules that know it."""
    import transfuse.store

    real, count = transfuse.store.write_bytes, itertools.count(1)

    def write(path: Path, data: bytes | Iterable[bytes]) -> None:
        whole = data if isinstance(data, bytes) else b"".join(data)
        changed(path, whole, next(count), real)

    for module in list(sys.modules.values()):
        if getattr(module, "write_bytes", None) is real:
            module.write_bytes = write  # pyright: ignore[reportAttributeAccessIssue]


def die_in_write(at: int) -> None:
    """The process is gone in the middle of its at-th write, half of which stays on the disk."""

    def changed(path: Path, data: bytes, number: int, real: Callable[[Path, bytes], None]) -> None:
        if number == at:
            half_of(path).write_bytes(data[: len(data) // 2])
            os._exit(9)
        real(path, data)

    _write(changed)


def full_from(at: int) -> None:
    """The disk is full from the at-th write on: half of it is written, the rest refused."""

    def changed(path: Path, data: bytes, number: int, real: Callable[[Path, bytes], None]) -> None:
        if number >= at:
            half_of(path).write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, data)

    _write(changed)


def count_writes(at: int) -> None:
    """Every write is noted in `writes`, in the working directory."""

    def changed(path: Path, data: bytes, number: int, real: Callable[[Path, bytes], None]) -> None:
        with Path("writes").open("a", encoding="utf-8") as note:
            note.write(f"{path.name}\n")
        real(path, data)

    _write(changed)


def jump_clock(at: int) -> None:
    """The clock jumps by days, back and forth, at every look at it."""
    rng, real = random.Random(at), time.time
    time.time = lambda: real() + rng.uniform(-3, 3) * 86400


def lack_memory(at: int) -> None:
    """No batch of more than `at` images fits in memory."""
    from transfuse.source.base import Source

    real = Source.blocks

    def blocks(self, batch, taps):  # type: ignore[no-untyped-def]
        if len(batch) > at:
            raise MemoryError(f"a batch of {len(batch)}")
        return real(self, batch, taps)

    Source.blocks = blocks


FAULTS: dict[str, Fault] = {
    "die": die_in_write,
    "full": full_from,
    "count": count_writes,
    "clock": jump_clock,
    "memory": lack_memory,
}
