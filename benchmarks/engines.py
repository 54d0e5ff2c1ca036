"""What an engine adds to every step, and to a run's start; without it nobody could say from when on a cluster pays."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from transfuse.events import Journal
from transfuse.plan.graph import Given, Plan, Step
from transfuse.run.engine import Engine, Walk
from transfuse.run.worker import Place
from transfuse.source.open import make_card
from transfuse.store import Store

FEW, MANY = 20, 220
ENGINES = (("local", 1), ("local", 2), ("ray", 2))


def table() -> list[str]:
    """Seconds from the start of a run to its end, of steps that do next to nothing: a start, and so much for each."""
    rows = [f"{'engine':>8} {'workers':>8} {'start s':>9} {'a step ms':>10}"]
    for kind, workers in ENGINES:
        few, many = (lasted(kind, workers, count) for count in (FEW, MANY))
        each = (many - few) / (MANY - FEW)
        rows.append(f"{kind:>8} {workers:>8} {few - FEW * each:>9.1f} {1000 * each:>10.1f}")
    return rows


def lasted(kind: str, workers: int, count: int) -> float:
    """Seconds by the clock that a plan of so many steps takes in a store of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, card = Store(folder / "store"), "0" * 64
        made = make_card("a", "demo:residual@random", root=folder, canvas=28, prepare=None, seen="none")
        store.put(card, made.record())
        steps = {f"s{at}": Step(f"s{at}", "stated", {"number": at}, {"card0": Given(card)}) for at in range(count)}
        plan = Plan(steps, tuple(steps), (), {"identity": "benchmark"})
        journal = folder / "journal.jsonl"
        place = Place(store, folder, "none", "cpu", 1, journal)
        began = time.monotonic()
        Engine(Walk(plan, store), place, Journal(journal), workers, kind=kind).run(plan.targets)
        return time.monotonic() - began


if __name__ == "__main__":
    for row in table():
        print(row)
