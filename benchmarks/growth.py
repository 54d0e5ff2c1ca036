"""What more items cost, in time and in memory of one's own; without it "larger than memory" would be a word.

.venv/bin/python -m benchmarks growth                          two decades of items
.venv/bin/python -m benchmarks.growth 1000000 docs/growth.svg  so many items, killed half way and started again; a plot
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

# So many that pairs of a million are too many to look for look-alikes.
JUDGED = 1_000
DECADES, APART, SIDE, CLASSES = (1_000, 10_000, 100_000), 250, 8, 10
NAMES = ("a", "b", "c")
MANY_SOURCES, MANY_SEEDS = (2, 4, 8), (1, 10, 100)
PREPARE = {"size": SIDE, "scale": 1, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
# Three small networks of different draws; their features have 64 columns each.
NETWORKS = """
from torch import nn

def make():
    layers = [nn.Conv2d(3, 16, 4, 4), nn.ReLU(), nn.Conv2d(16, 64, 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
"""
TRAINING = {"epochs": 2, "rates": [0.01], "batch": 1024, "least_steps": 1}
SAMPLE_SECONDS = 0.2


@dataclass
class Course:
    """One process from its start to its end: samples of (seconds, anonymous MB, mapped MB), and its journal's steps."""

    samples: list[tuple[float, float, float]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    killed: bool = False

    def most(self, begin: float = 0.0, end: float = float("inf")) -> float:
        """The most memory of its own between two moments, in MB."""
        return max((mine for at, mine, _ in self.samples if begin <= at <= end), default=0.0)


def table() -> list[str]:
    """Items, CPU seconds and the most memory of one's own, each size in a process of its own."""
    columns = (("items", 9), ("sources", 8), ("index s", 8), ("extract s", 10), ("train s", 8), ("own MB", 11))
    rows = [" ".join(f"{name:>{width}}" for name, width in (*columns, ("store MB", 9)))]
    for items in DECADES:
        with tempfile.TemporaryDirectory() as name:
            folder = world(Path(name), items)
            course = watched(folder)
            rows.append(told(folder, items, course))
    return [*rows, "", *planned()]


def planned() -> list[str]:
    """Steps that a plan may run, and the CPU seconds it takes to make it, by sources and seeds."""
    from transfuse.run.prepare import prepare
    from transfuse.store import Store

    rows = [" ".join(f"{name:>9}" for name in ("sources", "seeds", "steps", "plan s"))]
    with tempfile.TemporaryDirectory() as name:
        folder, store = world(Path(name), 2 * APART), Store(Path(name) / "store")
        sys.path.append(name)
        for sources in MANY_SOURCES:
            for seeds in MANY_SEEDS:
                given = recipe([f"s{number}" for number in range(sources)], seeds)
                began = time.process_time()
                plan = prepare(given, root=folder, store=store).plan
                spent = time.process_time() - began
                rows.append(f"{sources:>9} {seeds:>9} {len(plan.steps):>9} {spent:>9.2f}")
    return rows


def world(folder: Path, items: int, apart: int = APART) -> Path:
    """Synthetic canvases whose classes differ in brightness, so many of them apart, and the networks that look."""
    rng = np.random.default_rng(0)
    count = items + 2 * apart
    labels = rng.integers(0, CLASSES, count)
    images = rng.integers(0, 64, (count, SIDE, SIDE), dtype=np.uint8) + (labels * 19).astype(np.uint8)[:, None, None]
    split = np.array(["train", "val", "test"])[np.repeat([0, 1, 2], [items, apart, apart])]
    np.savez(folder / "data.npz", x=images, y=labels, split=split)
    (folder / "tiny.py").write_text(NETWORKS, encoding="utf-8")
    return folder


def carry_out(folder: Path) -> None:
    """Extract features of all sources and train their heads and that of their concatenation."""
    import torch

    from transfuse.events import Journal
    from transfuse.run.engine import Engine, Walk
    from transfuse.run.prepare import prepare
    from transfuse.run.run import place_of
    from transfuse.store import Store

    torch.set_num_threads(1)
    # Two seeds draw more than there is, so that all items are looked at.
    given = recipe(NAMES, 2)
    store, journal = Store(folder / "store"), Journal(folder / "journal.jsonl")
    prepared = prepare(given, root=folder, store=store, emit=journal.emit)
    journal.emit("prepared", cpu_seconds=time.process_time())
    wanted = [f"fit {arm} s0" for arm in (*(f"frozen/{name}" for name in NAMES), "concat")]
    Engine(Walk(prepared.plan, store), place_of(prepared, store, journal), journal).run(wanted)
    journal.emit("finished")


def recipe(names: Sequence[str], seeds: int) -> Any:
    """The comparison of these networks, as a recipe says it."""
    from transfuse.plan.recipe import validated

    return validated(
        {
            "sources": {
                name: {"spec": f"factory:tiny:make?seed={number}", "seen": "none", "prepare": PREPARE}
                for number, name in enumerate(names)
            },
            "data": {"read": "npz:data.npz", "canvas": SIDE},
            "candidates": ["features/concat"],
            "ladder": "quick",
            "seeds": seeds,
            "train": {"frozen": TRAINING},
        },
        where="benchmark",
    )


def watched(folder: Path, kill_at: int | None = None) -> Course:
    """The work in a process of its own, its memory looked at every 0.2 s; killed once so many shards are kept."""
    words = [sys.executable, "-m", "benchmarks.growth", "child", str(folder)]
    began, course = time.time(), Course()
    running = subprocess.Popen(words)
    while running.poll() is None:
        course.samples.append((time.time() - began, *memory_of(running.pid)))
        if kill_at is not None and len(shards(folder, "step_done")) >= kill_at:
            time.sleep(SAMPLE_SECONDS)
            os.kill(running.pid, signal.SIGKILL)
            course.killed = True
            break
        time.sleep(SAMPLE_SECONDS)
    code = running.wait()
    if code and not course.killed:
        raise RuntimeError(f"the work ended with {code}")
    return course


def told(folder: Path, items: int, course: Course) -> str:
    """One line of the table."""
    spent = seconds(folder)
    store = sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file()) / 1e6
    return (
        f"{items:>9,} {len(NAMES):>8} {spent['index']:>8.1f} {spent['extract']:>10.1f} {spent['train']:>8.1f}"
        f" {course.most():>11.0f} {store:>9.0f}"
    )


def seconds(folder: Path) -> dict[str, float]:
    """CPU seconds by kind of step; `index` is all that comes before the first, imports too."""
    spent: dict[str, float] = {"extract": 0.0, "train": 0.0}
    for event in events(folder):
        if event["event"] == "step_done" and event["kind"] in spent:
            spent[event["kind"]] += event["cpu_seconds"]
    prepared = next(event for event in events(folder) if event["event"] == "prepared")
    return spent | {"index": prepared["cpu_seconds"]}


def shards(folder: Path, event: str) -> list[str]:
    """The extractions that were begun, or are done."""
    return [found["step"] for found in events(folder) if found["event"] == event and found.get("kind") == "extract"]


def events(folder: Path) -> list[dict[str, Any]]:
    path = folder / "journal.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if '"progress"' not in line and line.endswith("}")]


def memory_of(process: int) -> tuple[float, float]:
    """Megabytes of a process that are its own, and those that are files'."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0, 0.0
    found = {line.split(":")[0]: int(line.split()[1]) / 1000 for line in lines if line.startswith("Rss")}
    return found.get("RssAnon", 0.0), found.get("RssFile", 0.0) + found.get("RssShmem", 0.0)


def main() -> None:
    """So many items, killed when half of the shards are kept and started again, with a plot."""
    items, picture = int(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as name:
        folder = world(Path(name), items, JUDGED)
        half = len(NAMES) * -(-items // 16_384) // 2
        first = watched(folder, half)
        kept = shards(folder, "step_done")
        second = watched(folder)
        begun, done = shards(folder, "step_started"), shards(folder, "step_done")
        again = [step for step in begun if begun.count(step) > 1]
        print(told(folder, items, second))
        print(f"killed with {len(kept)} extractions kept; begun twice: {len(set(again))} of {len(set(done))}")
        start = next(at["at"] for at in reversed(events(folder)) if at["event"] == "begun")
        marks = [at["at"] - start for at in events(folder) if at["event"] == "step_started" and at["kind"] == "train"]
        print(f"private MB: before the kill {first.most():.0f}, extraction {second.most(end=marks[0]):.0f}, ", end="")
        print(f"training {second.most(begin=marks[0]):.0f}; mapped at most {max(at[2] for at in second.samples):.0f}")
        picture.write_text(plot(first, second, marks[0], items), encoding="utf-8")


def plot(first: Course, second: Course, training: float, items: int) -> str:
    """Memory over time before and after the kill, as a small SVG."""
    width, height, left, top = 720, 240, 52, 28
    ends = [course.samples[-1][0] for course in (first, second)]
    most = 1.15 * max(mine + files for course in (first, second) for _, mine, files in course.samples)

    def line(course: Course, offset: float, column: int, style: str) -> str:
        points = " ".join(
            f"{left + (offset + row[0]) * width / sum(ends):.1f},{top + height * (1 - row[column] / most):.1f}"
            for row in course.samples[:: max(1, len(course.samples) // 300)]
        )
        return f'<polyline points="{points}" fill="none" {style}/>'

    own, mapped = 'stroke="#0b6e99" stroke-width="2"', 'stroke="#999" stroke-dasharray="3 3"'
    courses = ((first, 0.0), (second, ends[0]))
    lines = [line(course, at, column, style) for course, at in courses for column, style in ((1, own), (2, mapped))]
    marks = [(ends[0], "kill -9, run again"), (ends[0] + training, "heads train")]
    for row, (at, text) in enumerate(marks):
        x = left + at * width / sum(ends)
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + height}" stroke="#c33"/>')
        # Near the right edge words stand before their line.
        side, anchor = (-4, "end") if x > left + 0.8 * width else (4, "start")
        lines.append(
            f'<text x="{x + side:.1f}" y="{top + 12 + 14 * row}" fill="#c33" text-anchor="{anchor}">{text}</text>'
        )
    for share in (0.0, 0.25, 0.5, 0.75):
        y = top + height * (1 - share)
        lines.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{share * most:.0f}</text>')
    lines.append(f'<text x="{left}" y="{top + height + 18}">0 s</text>')
    lines.append(f'<text x="{left + width}" y="{top + height + 18}" text-anchor="end">{sum(ends):.0f} s</text>')
    title = f"MB of one process, {items:,} items and {len(NAMES)} sources: its own (line), of files it maps (dashed)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 12} {top + height + 30}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{left}" y="16">{title}</text>{"".join(lines)}'
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#ccc"/></svg>\n'
    )


if __name__ == "__main__":
    if sys.argv[1] == "child":
        from transfuse.events import Journal

        Journal(Path(sys.argv[2]) / "journal.jsonl").emit("begun")
        carry_out(Path(sys.argv[2]))
    else:
        main()
