"""The paired bootstrap of ten arms against a plain loop, its memory, and a whole verdict of the same size."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np

from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.metric import metric
from transfuse.evaluation.statistics.bootstrap import interval, picks, resample
from transfuse.evaluation.tables import Table
from transfuse.evaluation.verdict import judge
from transfuse.types import Arm, Cost, ItemTable, Task

METRICS = ("accuracy", "log_loss", "brier", "ece", "worst_class", "macro_f1")
ARMS, ITEMS, CLASSES, RESAMPLES = 10, 10_000, 10, 10_000
LOOPED = 20


def predictions(runs: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Targets [N], and probabilities [k, N, C] of ten arms that make correlated errors."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, CLASSES, ITEMS)
    shared = rng.normal(size=(ITEMS, CLASSES)) + 2.0 * np.eye(CLASSES)[targets]
    arms = []
    for _ in range(ARMS):
        scores = shared + 0.5 * rng.normal(size=(runs, ITEMS, CLASSES))
        odds = np.exp(scores - scores.max(axis=2, keepdims=True))
        arms.append(odds / odds.sum(axis=2, keepdims=True))
    return targets, arms


def table() -> list[str]:
    """All rows."""
    return [*(_bootstrap(runs, goal) for runs, goal in ((1, 5), (5, 15))), _loop(), _verdict()]


def _intervals(targets: np.ndarray, arms: list[np.ndarray], resamples: int) -> int:
    """The interval of every arm's difference to the first in every metric, BCa included; how many there are."""
    chosen = [metric(name) for name in METRICS]
    sides = (((each.columns(targets, run) for run in arm), each.finish) for arm in arms for each in chosen)
    found = resample(sides, ITEMS, resamples=resamples)
    width = len(METRICS)
    return len([interval(found[place].minus(found[place % width])) for place in range(width, len(found))])


def _bootstrap(runs: int, goal: int) -> str:
    targets, arms = predictions(runs)
    began = time.process_time()
    count = _intervals(targets, arms, RESAMPLES)
    seconds = time.process_time() - began
    tracemalloc.start()
    _intervals(targets, arms, RESAMPLES // 10)
    # A tenth of the resamples: replicates are the only thing that grows with them.
    replicates = 0.9 * ARMS * len(METRICS) * runs * RESAMPLES * 8
    peak = (tracemalloc.get_traced_memory()[1] + replicates) / 1e6
    tracemalloc.stop()
    what = f"{ARMS} arms × {ITEMS:,} × {len(METRICS)} metrics × {RESAMPLES:,} resamples, {runs} runs, {count} intervals"
    return f"{what}: {seconds:.1f} CPU seconds (≤ {goal} wanted), {peak:.0f} MB (≤ 500 wanted)"


def _loop() -> str:
    """The same rows drawn and scored one resample at a time, in the same units: time of one resample of all arms."""
    targets, arms = predictions(1)
    chosen = [metric(name) for name in METRICS]
    rows = next(picks(ITEMS, LOOPED))
    began = time.process_time()
    for drawn in rows:
        for arm in arms:
            for each in chosen:
                each.values(targets[drawn], arm[:, drawn])
    plain = (time.process_time() - began) / LOOPED
    began = time.process_time()
    _intervals(targets, arms, RESAMPLES // 5)
    ours = (time.process_time() - began) / (RESAMPLES // 5)
    return f"plain loop / matrix of counts, per resample: {plain / ours:.0f} times"


def _verdict() -> str:
    runs = 5
    targets, arms = predictions(runs)
    known = ItemTable(tuple(f"item{row}" for row in range(ITEMS)), targets)
    names = ["concat", "frozen/a", *(f"arm{number}" for number in range(ARMS - 2))]
    seeds = tuple(f"s{run}" for run in range(runs))
    tables = {name: Table(name, known, probs, seeds) for name, probs in zip(names, arms, strict=True)}
    cost = Cost(1, 1, 1.0, 1.0)
    records = tuple(
        Arm(name, "candidate" if name == "concat" else "baseline", (name,), "m", "frozen", "single", cost, runs)
        for name in names
    )
    selection = {name: 0.5 + 0.01 * number for number, name in enumerate(names)}
    couples = tuple(("concat", name) for name in names[1:])
    task = Task("multiclass", tuple(str(number) for number in range(CLASSES)))
    case = Case(task, known, records, tables, selection, "concat", "frozen/a", couples, MarginRule(), "locked")
    began = time.process_time()
    found = judge(case)
    seconds = time.process_time() - began
    rows = len(found.evidence)
    return f"a whole verdict of {ARMS} arms × {runs} runs × {ITEMS:,} items, {rows} rows: {seconds:.1f} CPU seconds"
