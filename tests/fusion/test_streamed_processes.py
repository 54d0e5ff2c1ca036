"""Merges in processes of their own: the same bits on any number of workers and hash seeds, and nothing half written."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from transfuse.fusion.streamed import merge_files
from transfuse.registry import method

METHODS = ("mean", "ema", "slerp", "task_arithmetic", "ties", "dare", "model_stock", "wise_ft", "tsv", "isotropic")
MERGE = """
import sys
from pathlib import Path
from transfuse.fusion.streamed import Sizes, merge_files
from transfuse.registry import method
root, out = Path(sys.argv[1]), Path(sys.argv[2])
for name in sys.argv[4:]:
    entry = method("weights/" + name)
    base = root / "base.safetensors" if entry.traits["needs_base"] else None
    sources = {each: root / f"{each}.safetensors" for each in "ab"}
    merge_files(entry, sources, out / name, base=base, sizes=Sizes(workers=int(sys.argv[3]), shard_bytes=400_000))
"""
DIES = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
wrote, count = os.pwrite, []
def pwrite(*given):
    count.append(1)
    if len(count) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return wrote(*given)
os.pwrite = pwrite
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    made = tmp_path_factory.mktemp("sources")
    for number, name in enumerate(("base", "a", "b")):
        rng = np.random.default_rng(number)
        state = {f"layer{each}": rng.normal(size=(300, 300)).astype(np.float32) for each in range(3)}
        save_file({**state, "bias": rng.normal(size=9).astype(np.float16)}, made / f"{name}.safetensors")
    return made


def started(code, *words, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], env={**os.environ, **environment}, capture_output=True
    )


def test_workers_and_hash_seeds_change_no_bit(root, tmp_path):
    seen = []
    for workers, seed in ((1, "0"), (2, "1"), (8, "4242")):
        out = tmp_path / str(workers)
        done = started(MERGE, root, out, workers, *METHODS, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        files = sorted(out.rglob("*.*"))
        seen.append({str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
    # Each merge has a file for every tensor that is large, an index and a manifest.
    assert len(seen[0]) >= 5 * len(METHODS)
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("out", ["merged", "merged.safetensors"])
def test_a_merge_that_is_killed_leaves_nothing_under_the_name(root, tmp_path, out):
    code = MERGE.replace("out / name", f"out / '{out}'")
    killed = started(DIES + code, root, tmp_path, 2, "mean")
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(f".{out}.") and left.name.endswith(".tmp")
    again = started(code, root, tmp_path, 2, "mean")
    assert again.returncode == 0 and [path.name for path in tmp_path.iterdir()] == [out]


@pytest.mark.parametrize(("out", "number"), [("merged", signal.SIGINT), ("merged.safetensors", signal.SIGTERM)])
def test_a_command_that_is_stopped_leaves_nothing_at_all(root, tmp_path, out, number):
    """Stopped in the middle of writing, as by Ctrl-C or by a machine that shuts down."""
    code = DIES.replace("signal.SIGKILL", f"signal.{number.name}") + (
        "import sys; from transfuse.doors.cli import main; sys.argv[0] = 'transfuse'; main()"
    )
    words = ["merge", "mean", *(root / f"{name}.safetensors" for name in "ab"), "--out", tmp_path / out, "--workers", 1]
    stopped = started(code, *words)
    assert stopped.returncode == 128 + number and list(tmp_path.iterdir()) == []
    assert stopped.stderr.startswith(b"stopped") and b"Traceback" not in stopped.stderr


def test_only_what_a_dead_merge_left_is_removed(root, tmp_path):
    out, mark = tmp_path / "out.safetensors", f".out.safetensors.{re.sub('[^A-Za-z0-9_-]', '-', platform.node())}."
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {"dead": f"{mark}{dead.pid}.tmp", "alive": f"{mark}{os.getppid()}.tmp"}
    names |= {"elsewhere": f".out.safetensors.another-machine.{dead.pid}.tmp", "other": f".other.x.{dead.pid}.tmp"}
    for name in names.values():
        (tmp_path / name).touch()
    merge_files(method("weights/mean"), {name: root / f"{name}.safetensors" for name in "ab"}, out)
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {out.name, names["alive"], names["elsewhere"], names["other"]}


def test_more_than_memory_is_merged_under_a_limit(tmp_path):
    """Four files of 40 MB, one of them the base, while the process may have 130 MB of its own, Python included."""
    for place, source in enumerate(("base", "a", "b", "c")):
        tensors = {f"layer{each}": np.full((1250, 2000), place + each, np.float32) for each in range(4)}
        save_file(tensors, tmp_path / f"{source}.safetensors")
    words = ["merge", "task_arithmetic", *(tmp_path / f"{source}.safetensors" for source in "abc")]
    words += ["--base", tmp_path / "base.safetensors", "--out", tmp_path / "out.safetensors", "--workers", 2]
    limited = ["bash", "-c", 'ulimit -d 130000; exec "$@"', "bash", sys.executable]
    done = subprocess.run(
        [*limited, "-c", "from transfuse.doors.cli import main; main()", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    # The limit is one: the same process cannot hold the four files.
    holds = "import numpy; kept = [numpy.ones(10_000_000, 'f4') for _ in range(4)]"
    assert subprocess.run([*limited, "-c", holds], check=False, capture_output=True).returncode != 0
    assert load_file(tmp_path / "out.safetensors")["layer3"][0, 0] == 9.0


def test_a_folder_with_a_pytorch_file_is_a_source(root, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        state = load_file(root / f"{name}.safetensors")
        torch.save(
            {key: torch.from_numpy(value) for key, value in state.items()}, tmp_path / name / "pytorch_model.bin"
        )
        (tmp_path / name / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    told = merge_files(method("weights/mean"), {name: tmp_path / name for name in "ab"}, tmp_path / "out")
    merge_files(
        method("weights/mean"), {name: root / f"{name}.safetensors" for name in "ab"}, tmp_path / "b.safetensors"
    )
    found = {key: value for path in (tmp_path / "out").glob("*.safetensors") for key, value in load_file(path).items()}
    wanted = load_file(tmp_path / "b.safetensors")
    assert found.keys() == wanted.keys() and all(np.array_equal(found[key], wanted[key]) for key in wanted)
    assert (tmp_path / "out" / "config.json").is_file()
    assert [file["file"] for file in told["sources"]["a"]["files"]] == ["pytorch_model.bin"]
