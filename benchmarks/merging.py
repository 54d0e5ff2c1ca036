"""Merging files beside mergekit: whole processes, interleaved, same files, outputs compared in the same run.

    .venv/bin/python -m benchmarks.merging                                  ours and the floor, four files of 110 MB
    PEERS=/tmp/peers/bin .venv/bin/python -m benchmarks.merging --full      four files of 860 MB, beside mergekit
    FUSION_BENCH=/tmp/fusion/bin .venv/bin/python -m benchmarks.merging --peer fusion-bench
    .venv/bin/python -m benchmarks.merging --full --only memory             private memory, and a limit on it
    .venv/bin/python -m benchmarks.merging --only profile --methods ties    where the time goes, four files of 31 MB

Files lie in a folder of TMPDIR and are removed. With `--folder F` they stay, and so does every pair that was timed: the
next call with it times only the pairs that are wanting, so that an hour's table is made in pieces, of one state of the
code. `floor` reads the same bytes and writes them; `start` is our command on files of a few numbers, so `ours - start`
is the merge itself. Both programs run once before they are timed, and bytecode is kept, as installed programs have it.
Nothing syncs to disk, neither ours nor the floor. Outputs are compared after every pair. How the peers' environments
are made stands in `peer_merges.py`; fusion-bench's TIES needs 20 GB at full size.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import json
import os
import pstats
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from safetensors.numpy import save_file

from benchmarks.merge_memory import limited, peak
from benchmarks.peer_merges import BASED, DENSITY, TIES, command, compared, read

WANTED = {"mean": 2.5, "task_arithmetic": 2.5, "slerp": 2.5, "dare": 5.0, "ties": 12.0}
PAIRS = 5
PEER = "mergekit"


@dataclass(frozen=True)
class Model:
    """A Llama-shaped checkpoint: tensors of 16.4 million numbers, so many layers."""

    hidden: int
    inner: int
    layers: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        h, i, kv = self.hidden, self.inner, self.hidden // 4
        made: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (i, h), "lm_head.weight": (i, h)}
        for layer in range(self.layers):
            at = f"model.layers.{layer}"
            made |= {f"{at}.self_attn.{name}_proj.weight": (h if name in "qo" else kv, h) for name in "qkvo"}
            made |= {f"{at}.mlp.{name}_proj.weight": (i, h) for name in ("gate", "up")}
            made |= {f"{at}.mlp.down_proj.weight": (h, i), f"{at}.input_layernorm.weight": (h,)}
            made |= {f"{at}.post_attention_layernorm.weight": (h,)}
        return made | {"model.norm.weight": (h,)}

    def config(self) -> dict[str, object]:
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": self.hidden,
            "intermediate_size": self.inner, "num_hidden_layers": self.layers,
            "num_attention_heads": self.hidden // 128,
            "num_key_value_heads": self.hidden // 512, "vocab_size": self.inner, "torch_dtype": "float32",
            "tie_word_embeddings": False,
        }  # fmt: skip


def table(
    *,
    full: bool = False,
    pairs: int = PAIRS,
    methods: Sequence[str] = tuple(WANTED),
    peer: str = PEER,
    folder: Path | None = None,
    only: str = "",
) -> Iterator[str]:
    """All rows as they are found; `full` is the size of the comparison with the peers, `only` time or memory."""
    model = Model(4096, 4000, 2) if full else Model(1024, 1000, 1) if only == "profile" else Model(2048, 2000, 1)
    largest = 4 * model.hidden * model.inner / 1e6
    with _made(model, folder) as root:
        size = (root / "base" / "model.safetensors").stat().st_size / 1e6
        yield f"four files of {size:.0f} MB, largest tensor {largest:.0f} MB"
        if only == "profile":
            yield from (_profile(method, root) for method in methods)
            return
        for method in methods if only != "memory" else ():
            yield _row(method, root, pairs, peer)
        if only == "time":
            return
        yield f"private memory at its peak, ≤ {300 + 2 * largest:.0f} MB wanted; the same under `ulimit -d` 600 MB"
        yield from (_memory(method, root) for method in methods)


class _InThisThread(contextlib.nullcontext["_InThisThread"]):
    """Takes a pool's place, so that a profile sees its work."""

    def __init__(self, _: int) -> None:
        super().__init__(self)

    map = staticmethod(map)


def _profile(method: str, root: Path) -> str:
    """The costliest functions of our command in this thread, the second time, when all is imported and cached."""
    from transfuse.doors.cli import main

    words = _ours(method, root, PEER)[3:]
    profiles = [cProfile.Profile(), cProfile.Profile()]
    for profile in profiles:
        with (
            mock.patch("transfuse.fusion.weights_lift.ThreadPoolExecutor", _InThisThread),
            mock.patch.object(sys, "argv", ["transfuse", *words]),
            contextlib.suppress(SystemExit),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            profile.runcall(main)
        _remove(root / "ours")
    told = io.StringIO()
    pstats.Stats(profiles[1], stream=told).sort_stats("tottime").print_stats(12)
    return f"{method}\n{told.getvalue().strip()}"


def _memory(method: str, root: Path) -> str:
    words = _ours(method, root, PEER)
    if method == "mean":  # of four too, as those with a base; SLERP joins two
        words[words.index("--out") : words.index("--out")] = [str(root / "base")]
    found = peak(words, _environment(root))
    _remove(root / "ours")
    said = limited(words, _environment(root), 600)
    _remove(root / "ours")
    return f"{method:<16} {found:.0f} MB, {said}"


@contextlib.contextmanager
def _made(model: Model, folder: Path | None) -> Iterator[Path]:
    """The folder of the files; one that was given keeps them."""
    with contextlib.ExitStack() as held:
        root = folder or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="transfuse-merging-")))
        if not (root / "few" / "c" / "config.json").is_file():
            _files(model, root)
            _files(Model(512, 8, 1), root / "few")
        yield root


def _files(model: Model, root: Path) -> None:
    rng = np.random.default_rng(0)
    base = {name: rng.standard_normal(shape, dtype=np.float32) * 0.02 for name, shape in model.shapes().items()}
    for name in ("base", "a", "b", "c"):
        (root / name).mkdir(parents=True, exist_ok=True)
        own = np.random.default_rng(ord(name[0]))
        changed = base if name == "base" else {
            key: value + 0.002 * own.standard_normal(value.shape, dtype=np.float32) for key, value in base.items()
        }  # fmt: skip
        save_file(changed, root / name / "model.safetensors", metadata={"format": "pt"})
        (root / name / "config.json").write_text(json.dumps(model.config()), encoding="utf-8")


def _ours(method: str, root: Path, peer: str) -> list[str]:
    sources = [str(root / name) for name in read(method) if name != "base"]
    words = ["merge", method, *sources, "--out", str(root / "ours"), "--no-hash"]
    words += ["--base", str(root / "base")] if method in BASED else []
    settings = {"density": DENSITY} if method in ("dare", "ties") else {}
    settings |= TIES[peer] if method == "ties" else {}
    words += [word for name, value in settings.items() for word in ("-p", f"{name}={value}")]
    return [sys.executable, "-c", "from transfuse.doors.cli import main; main()", *words]


def _row(method: str, root: Path, pairs: int, peer: str) -> str:
    times, equal = _pairs(method, root, pairs, peer)
    told = ", ".join(f"{name} {_medians(found)}" for name, found in times.items() if found)
    told += "; merge itself"
    for which, unit in enumerate(("", " in CPU time")):
        alone = sorted(
            (a[which] - s[which]) / f[which]
            for a, s, f in zip(times["ours"], times["start"], times["floor"], strict=True)
        )
        told += f" {statistics.median(alone):.1f} times the floor{unit} ({alone[0]:.1f} to {alone[-1]:.1f})"
    if not times["theirs"]:
        return f"{method:<16} {told}"
    ratios = sorted(b[0] / a[0] for a, b in zip(times["ours"], times["theirs"], strict=True))
    spent = statistics.median(b[1] / a[1] for a, b in zip(times["ours"], times["theirs"], strict=True))
    faster = f"{statistics.median(ratios):.1f} times faster than {peer}"
    faster += f" ({ratios[0]:.1f} to {ratios[-1]:.1f}; CPU {spent:.1f})"
    faster += f" in {len(ratios)} pair{'s' * (len(ratios) > 1)}"
    return f"{method:<16} {faster}, ≥ {WANTED[method]} wanted; {told}; outputs {equal}"


def _pairs(method: str, root: Path, pairs: int, peer: str) -> tuple[dict[str, list[tuple[float, float]]], str]:
    """What `start`, `floor`, `ours` and `theirs` took, pair by pair, and how equal outputs are; those on record first.

    Between pairs each goes first in turn, so that what comes before it is not always the same.
    """
    ours, theirs = _ours(method, root, peer), command(peer, method, root)
    files = [root / name / "model.safetensors" for name in read(method)]
    few = _ours(method, root / "few", peer)
    record = root / f"{peer if theirs else 'alone'}-{method}.jsonl"
    known = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()] if record.is_file() else []
    if len(known) < pairs:
        _run(few, root / "few" / "ours")
        if theirs is not None:
            _run(command(peer, method, root / "few") or [], root / "few" / "theirs")
    for number in range(len(known), pairs):
        calls: dict[str, Callable[[], None]] = {
            "start": lambda: _run(few, root / "few" / "ours"),
            "floor": lambda: _floor(files, root / "floor"),
            "ours": lambda: _run(ours, root / "ours"),
        }
        if theirs is not None:
            calls["theirs"] = lambda: _run(theirs, root / "theirs")
        taken: dict[str, object] = {name: _timed(calls[name]) for name in sorted(calls, reverse=bool(number % 2))}
        if theirs is not None:
            taken["equal"] = compared(method, root, peer)
        for name in ("ours", "theirs", "floor"):
            _remove(root / name)
        with record.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(taken) + "\n")
        known.append(taken)
    of = {name: [tuple(one[name]) for one in known if name in one] for name in ("ours", "theirs", "floor", "start")}
    return of, "; ".join(sorted({one["equal"] for one in known if "equal" in one}))


def _medians(found: list[tuple[float, float]]) -> str:
    wall, spent = (statistics.median(column) for column in zip(*found, strict=True))
    return f"{wall:.2f} s ({spent:.2f} s CPU)"


def _timed(call: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the clock and of all processors."""

    def spent() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
        return sum(used.ru_utime + used.ru_stime for used in both)

    before, began = spent(), time.perf_counter()
    call()
    return time.perf_counter() - began, spent() - before


def _run(command: list[str], out: Path) -> None:
    _remove(out)
    done = subprocess.run(command, check=False, capture_output=True, env=_environment(out.parent))
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.decode()[-2000:]}")


def _environment(folder: Path) -> dict[str, str]:
    """Offline, with bytecode kept beside the files of this run, so that nobody compiles at each start."""
    root = folder.parent if folder.name == "few" else folder
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**own, "HF_HUB_OFFLINE": "1", "PYTHONPYCACHEPREFIX": str(root / "bytecode")}


def _floor(read: list[Path], out: Path) -> None:
    """Read all files and write as many bytes as one of them has, in chunks that stay in the cache."""
    chunk = bytearray(1 << 20)
    for path in read:
        with path.open("rb", buffering=0) as handle:
            while handle.readinto(chunk):
                pass
    with out.open("wb", buffering=0) as handle:
        for _ in range(read[0].stat().st_size >> 20):
            handle.write(chunk)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if path.is_file():
        path.unlink()


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--full", action="store_true", help="four files of 860 MB")
    words.add_argument("--pairs", type=int, default=PAIRS, help="of every method")
    words.add_argument("--peer", choices=tuple(TIES), default=PEER, help="the program beside ours, where it is at hand")
    words.add_argument("--methods", nargs="+", choices=tuple(WANTED), default=tuple(WANTED))
    words.add_argument("--folder", type=Path, help="where files and pairs are kept; one folder for each size")
    words.add_argument("--only", choices=("time", "memory", "profile"), default="", help="part of the table")
    given = words.parse_args()
    for line in table(
        full=given.full,
        pairs=given.pairs,
        methods=given.methods,
        peer=given.peer,
        folder=given.folder,
        only=given.only,
    ):  # a row takes minutes
        print(line, flush=True)
