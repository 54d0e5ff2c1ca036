"""What a report of 20 arms, 5 seeds and 10,000 judged items costs: judged by the real judge, then rendered."""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import numpy as np

from transfuse.evaluation import tables
from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.verdict import judge, record
from transfuse.jsonio import pretty
from transfuse.report.html import render_html
from transfuse.report.text import render_markdown
from transfuse.types import Arm, Cost, ItemTable, Predictions, Task

ARMS, SEEDS, ITEMS, CLASSES = 20, 5, 10_000, 10
SECONDS, MEGABYTES = 15.0, 5.0


def case(arms: int = ARMS, seeds: int = SEEDS, items: int = ITEMS, classes: int = CLASSES) -> Case:
    """Half of the arms are single models, half are fusions; every fusion is compared with the best single and the
    ensemble. Scores are noise around the right answer, with an error of the item that all arms share."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, items)
    known = ItemTable(tuple(f"item{number:05d}" for number in range(items)), targets)
    shared = rng.normal(size=(items, classes))
    singles = [f"frozen/source{number}" for number in range(arms // 2)]
    fusions = [f"fusion{number}" for number in range(arms - arms // 2 - 1)]
    names = [*singles, "ensemble", *fusions]
    skills = dict(zip(names, np.linspace(2.0, 3.0, len(names)), strict=True))
    made = {name: _table(name, known, shared, skill, seeds, rng) for name, skill in skills.items()}
    best, winner = singles[-1], fusions[-1]
    pairs = [(name, other) for name in fusions[::-1] for other in (best, "ensemble")]
    return Case(
        task=Task("multiclass", tuple(f"class {number}" for number in range(classes))),
        items=known,
        arms=tuple(_arm(name, place, seeds) for place, name in enumerate(names)),
        tables=made,
        selection={name: 1.0 / skill for name, skill in skills.items()},
        winner=winner,
        best_single=best,
        comparisons=tuple(pairs),
        margin=MarginRule(),
        protocol="locked",
    )


def _table(
    name: str, known: ItemTable, shared: np.ndarray, skill: float, seeds: int, rng: np.random.Generator
) -> tables.Table:
    scores = shared + rng.normal(size=(seeds, *shared.shape))
    scores[:, np.arange(len(known)), np.asarray(known.targets)] += skill
    runs = tuple(f"s{number}" for number in range(seeds))
    return tables.table(Predictions(name, runs, scores, "logit"), known, [1.0] * seeds)


def _arm(name: str, place: int, seeds: int) -> Arm:
    fusion = name.startswith("fusion")
    form = "fused" if fusion else "ensemble" if name == "ensemble" else "single"
    cost = Cost(1_000_000 * (place + 1), 10_000, 1e8 * (place + 1), 1e13)
    role = "candidate" if fusion else "baseline"
    return Arm(name, role, (name,), "features/concat" if fusion else "head", "frozen", form, cost, seeds)


def evidence() -> tuple[dict[str, Any], float]:
    """`evidence.json` of the case, and the CPU seconds of the judge."""
    asked = case()
    began = time.process_time()
    judgement = judge(asked)
    seconds = time.process_time() - began
    setup = {"title": "A large report", "protocol": "locked", "task": {"kind": "multiclass", "metric": "log_loss"}}
    return json.loads(pretty(record(judgement, judgement.arms, {"ordinal": 1}, setup))), seconds


def table() -> list[str]:
    """All rows."""
    held, judged = evidence()
    pages, times = "", []
    for _ in range(3):
        began = time.process_time()
        pages = render_html(held)
        times.append(time.process_time() - began)
    began = time.process_time()
    text = render_markdown(held)
    marked = time.process_time() - began
    what = f"{ARMS} arms, {SEEDS} seeds, {ITEMS:,} items"
    rendered = statistics.median(times)
    return [
        f"{f'judging {what}, CPU seconds':<62} {judged:6.1f}",
        f"{f'its report, CPU seconds, median of {len(times)}':<62} {rendered:6.2f}  ≤ {SECONDS:.0f} wanted",
        f"{'its report, MB':<62} {len(pages.encode()) / 1e6:6.2f}  ≤ {MEGABYTES:.0f} wanted",
        f"{'its Markdown, CPU seconds':<62} {marked:6.2f}",
        f"{'its Markdown, MB':<62} {len(text.encode()) / 1e6:6.2f}",
        f"{'rows of evidence':<62} {len(held['evidence']):6,}",
    ]
