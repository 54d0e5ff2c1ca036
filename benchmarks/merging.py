"""Merging files beside mergekit: whole processes, interleaved, same files, outputs compared in the same run.

    .venv/bin/python -m benchmarks.merging                                  ours and the floor, four files of 110 MB
    PEERS=/tmp/peers/bin .venv/bin/python -m benchmarks.merging --full      four files of 860 MB, beside mergekit
    FUSION_BENCH=/tmp/fusion/bin .venv/bin/python -m benchmarks.merging --peer fusion-bench

Files lie in a folder of TMPDIR and are removed. `floor` reads the same bytes and writes them; `start` is our command
on files of a few numbers, so `ours - start` is the merge itself. Both programs run once before they are timed, and
bytecode is kept, as installed programs have it. Nothing syncs to disk, neither ours nor the floor. How the peers'
environments are made stands in `peer_merges.py`; fusion-bench's TIES needs 20 GB at full size.
"""

from __future__ import annotations

import argparse
import json
import os
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

import numpy as np
from safetensors.numpy import save_file

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
    *, full: bool = False, pairs: int = PAIRS, methods: Sequence[str] = tuple(WANTED), peer: str = PEER
) -> Iterator[str]:
    """All rows as they are found; `full` is the size of the comparison with the peers."""
    model = Model(4096, 4000, 2) if full else Model(2048, 2000, 1)
    with tempfile.TemporaryDirectory(prefix="transfuse-merging-") as folder:
        root = Path(folder)
        size = _files(model, root)
        _files(Model(512, 8, 1), root / "few")
        yield f"four files of {size / 1e6:.0f} MB, largest tensor {4 * model.hidden * model.inner / 1e6:.0f} MB"
        for method in methods:
            yield _row(method, root, pairs, peer)
        yield from _memory(root, model, methods)


def _files(model: Model, root: Path) -> int:
    rng = np.random.default_rng(0)
    base = {name: rng.standard_normal(shape, dtype=np.float32) * 0.02 for name, shape in model.shapes().items()}
    for name in ("base", "a", "b", "c"):
        (root / name).mkdir(parents=True)
        own = np.random.default_rng(ord(name[0]))
        changed = base if name == "base" else {
            key: value + 0.002 * own.standard_normal(value.shape, dtype=np.float32) for key, value in base.items()
        }  # fmt: skip
        save_file(changed, root / name / "model.safetensors", metadata={"format": "pt"})
        (root / name / "config.json").write_text(json.dumps(model.config()), encoding="utf-8")
    return (root / "base" / "model.safetensors").stat().st_size


def _ours(method: str, root: Path, peer: str) -> list[str]:
    sources = [str(root / name) for name in read(method) if name != "base"]
    words = ["merge", method, *sources, "--out", str(root / "ours"), "--no-hash"]
    words += ["--base", str(root / "base")] if method in BASED else []
    settings = {"density": DENSITY} if method in ("dare", "ties") else {}
    settings |= TIES[peer] if method == "ties" else {}
    words += [word for name, value in settings.items() for word in ("-p", f"{name}={value}")]
    return [sys.executable, "-c", "from transfuse.doors.cli import main; main()", *words]


def _row(method: str, root: Path, pairs: int, peer: str) -> str:
    ours, theirs = _ours(method, root, peer), command(peer, method, root)
    files = [root / name / "model.safetensors" for name in read(method)]
    few = _ours(method, root / "few", peer)
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": [], "floor": [], "start": []}
    _run(few, root / "few" / "ours")
    if theirs is not None:
        _run(command(peer, method, root / "few") or [], root / "few" / "theirs")
    for _ in range(pairs):
        times["start"].append(_timed(lambda: _run(few, root / "few" / "ours")))
        times["floor"].append(_timed(lambda: _floor(files, root / "floor")))
        times["ours"].append(_timed(lambda: _run(ours, root / "ours")))
        if theirs is not None:
            times["theirs"].append(_timed(lambda: _run(theirs, root / "theirs")))
    equal = "" if theirs is None else f"; outputs {compared(method, root)}"
    for name in ("ours", "theirs", "floor"):
        _remove(root / name)
    told = ", ".join(f"{name} {_medians(found)}" for name, found in times.items() if found)
    told += "; merge itself"
    for which, unit in enumerate(("", " in CPU time")):
        alone = sorted(
            (a[which] - s[which]) / f[which]
            for a, s, f in zip(times["ours"], times["start"], times["floor"], strict=True)
        )
        told += f" {statistics.median(alone):.1f} times the floor{unit} ({alone[0]:.1f} to {alone[-1]:.1f})"
    if theirs is None:
        return f"{method:<16} {told}"
    ratios = sorted(b[0] / a[0] for a, b in zip(times["ours"], times["theirs"], strict=True))
    spent = statistics.median(b[1] / a[1] for a, b in zip(times["ours"], times["theirs"], strict=True))
    faster = f"{statistics.median(ratios):.1f} times faster than {peer}"
    faster += f" ({ratios[0]:.1f} to {ratios[-1]:.1f}; CPU {spent:.1f})"
    faster += f" in {pairs} pair{'s' * (pairs > 1)}"
    return f"{method:<16} {faster}, ≥ {WANTED[method]} wanted; {told}{equal}"


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
    root = next(path for path in (folder, *folder.parents) if path.name.startswith("transfuse-merging-"))
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


def _memory(root: Path, model: Model, methods: Sequence[str]) -> list[str]:
    """Peak private memory of each method, and all four files merged under a limit of 600 MB."""
    found = {}
    for method in methods:
        _remove(root / "ours")
        done = subprocess.Popen(_ours(method, root, "mergekit"), stdout=subprocess.DEVNULL)
        peak = 0
        while done.poll() is None:
            peak = max(peak, _private_kilobytes(done.pid))
            time.sleep(0.01)
        found[method] = peak / 1000
    allowed = 300 + 2 * 4 * model.hidden * model.inner / 1e6
    told = ", ".join(f"{method} {peak:.0f}" for method, peak in found.items())
    _remove(root / "ours")
    words = [sys.executable, "-c", "from transfuse.doors.cli import main; main()", "merge", "mean"]
    words += [*(str(root / name) for name in ("base", "a", "b", "c")), "--out", str(root / "ours")]
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -d 600000; exec "$@"', "bash", *words], check=False, capture_output=True
    )
    _remove(root / "ours")
    said = "merged" if limited.returncode == 0 else limited.stderr.decode()[-300:]
    return [
        f"peak private memory, MB: {told}; ≤ {allowed:.0f} wanted",
        f"four files under `ulimit -d` 600 MB: {said}",
    ]


def _private_kilobytes(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--full", action="store_true", help="four files of 860 MB")
    words.add_argument("--pairs", type=int, default=PAIRS, help="of every method")
    words.add_argument("--peer", choices=tuple(TIES), default=PEER, help="the program beside ours, where it is at hand")
    words.add_argument("--methods", nargs="+", choices=tuple(WANTED), default=tuple(WANTED))
    given = words.parse_args()
    for line in table(
        full=given.full, pairs=given.pairs, methods=given.methods, peer=given.peer
    ):  # a row takes minutes
        print(line, flush=True)
