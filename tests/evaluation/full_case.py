"""A case with everything filled, so that every question of the shelf has something to answer."""

from __future__ import annotations

import numpy as np

from evaluation.judged import CLASSES, items, predictions
from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.nearest import Near
from transfuse.evaluation.tables import Table, table
from transfuse.types import Arm, Cost, Features, Form, ItemTable, Observation, Role, Task, Undefined

# name: role, form, members, skill, selection loss, inference FLOPs
ARMS: dict[str, tuple[Role, Form, tuple[str, ...], float, float, float]] = {
    "concat": ("candidate", "fused", ("a", "b"), 3.2, 0.30, 3e6),
    "gate": ("candidate", "fused", ("a", "b"), 3.1, 0.32, 4e6),
    "ensemble": ("baseline", "ensemble", ("frozen/a", "frozen/b"), 2.9, 0.34, 2e6),
    "frozen/a": ("baseline", "single", ("a",), 2.2, 0.50, 1e6),
    "frozen/b": ("baseline", "single", ("b",), 2.0, 0.55, 1e6),
    "copies": ("control", "fused", ("a", "a"), 2.3, 0.49, 2e6),
    "without/a": ("control", "single", ("b",), 2.0, 0.55, 1e6),
    "without/b": ("control", "single", ("a",), 2.2, 0.50, 1e6),
    "prior": ("baseline", "single", (), 0.0, 1.38, 0.0),
}
CONDITIONS = ("blur@1", "blur@5", "noise@1", "noise@5")
SEEN = ("concat", "frozen/a", "ensemble")


def arm(name: str, runs: int) -> Arm:
    role, form, members, _, _, flops = ARMS[name]
    return Arm(name, role, members, "features/concat", "frozen", form, Cost(1000, 10, flops, 1e9), runs)


def judged(name: str, known: ItemTable, skill: float, runs: int, seed: int = 1) -> Table:
    return table(predictions(name, known, skill, runs, seed), known, [1.0] * runs)


def conditions(known: ItemTable, runs: int) -> dict[str, dict[str, Table]]:
    """Each level takes a share of the skill; noise takes more from the winner than from the best single."""
    found: dict[str, dict[str, Table]] = {}
    for name in CONDITIONS:
        kind, level = name.split("@")
        kept = {arm: 1.0 - (0.15 if kind == "noise" and arm == "concat" else 0.08) * int(level) for arm in SEEN}
        found[name] = {arm: judged(arm, known, ARMS[arm][3] * kept[arm], runs) for arm in SEEN}
    return found


def features(count: int = 120) -> Features:
    rng, known = np.random.default_rng(4), items(count, seed=7)
    shared = rng.normal(size=(count, 6))
    blocks = {name: np.concatenate([shared, rng.normal(size=(count, 20))], axis=1) for name in ("a", "b")}
    return Features(blocks, known, np.arange(count) % 5)


def observations(runs: int) -> tuple[Observation, ...]:
    """Losses that fall with rows and epochs, faster for the winner; scratch never reaches the target."""
    rng, found = np.random.default_rng(5), []
    for name, scale in (("concat", 0.6), ("frozen/a", 0.9), ("scratch", 3.0)):
        for run in (f"s{number}" for number in range(runs)):
            jitter = 0.01 * rng.normal()
            for rows in (50, 150, 500):
                value = scale * (rows / 50) ** -0.3 + jitter
                found.append(Observation(name, run, "selection_loss", value, rows, final=True))
            for epoch in range(1, 9):
                value, items_seen = scale * (1.0 / epoch + 0.3) + jitter, 500 * epoch
                cost = 2e6 * items_seen
                found.append(Observation(name, run, "epoch_loss", value, 500, items_seen, cost + 1e8, cost))
    found += [Observation("concat", f"s{number}", "retention_kl:a", 0.0, 500) for number in range(runs)]
    for share, loss in ((0.0, 0.4), (0.5, 0.9), (1.0, 0.6)):
        for view in ("as merged", "estimated anew, tempered"):
            seen = f"path_loss:{view}:{share:g}"
            found += [Observation("gate", f"s{run}", seen, loss + 0.01 * run * share, 150) for run in range(runs)]
    return tuple(found)


def nearest(known: ItemTable) -> dict[str, Near | Undefined]:
    """Two sources find a fifth of the rows each, most of them the same; one pair has two labels."""
    rng, count = np.random.default_rng(6), len(known)
    ratio = np.where(np.arange(count) % 5 == 0, 0.2, 0.8) + 0.1 * rng.random(count)
    label = np.array(known.targets)
    label[5] = (label[5] + 1) % len(CLASSES)
    about = {"rate": 0.001, "limits": {"s0": {"ratio": 0.5, "dimension": 9.0}}, "own": 0.2}
    other = tuple(f"train{row}" for row in range(count))
    shifted = np.roll(ratio, 1)
    close = np.where(np.arange(count) % 4 == 0, ratio, shifted) < 0.5
    return {
        "a": Near(ratio < 0.5, other, ratio, label, about),
        "b": Near(close, other, np.where(close, 0.3, 0.8), label, about),
        "c": Undefined("the source gives all training rows the same features"),
    }


def losses(skill: float) -> np.ndarray:
    """Item losses of a candidate on rows apart."""
    return np.abs(np.random.default_rng(int(10 * skill)).normal(1.0 / skill, 0.3, 150))


def full_case(runs: int = 3, count: int = 240) -> Case:
    """concat wins over frozen/a; b is the second source; conditions, outside sets, features and curves are there."""
    known, strange = items(count, groups=8), items(90, seed=9)
    tables = {name: judged(name, known, facts[3], runs) for name, facts in ARMS.items()}
    blank = ItemTable(strange.ids, np.zeros(len(strange), dtype=np.int64))
    return Case(
        task=Task("multiclass", CLASSES),
        items=known,
        arms=tuple(arm(name, runs) for name in ARMS),
        tables=tables,
        selection={name: facts[4] for name, facts in ARMS.items()},
        winner="concat",
        best_single="frozen/a",
        comparisons=(("concat", "frozen/a"), ("concat", "ensemble"), ("concat", "copies")),
        margin=MarginRule(),
        protocol="locked",
        conditions=conditions(known, runs),
        outside={"ood:noise": {name: judged(name, blank, 0.2, runs, seed=8) for name in SEEN}},
        features=features(),
        nearest=nearest(known),
        observations=observations(runs),
        guards={"worst_class": 0.02, "brier": 0.01},
        target=0.5,
        selection_losses={"all": {name: losses(ARMS[name][3]) for name in ("concat", "gate")}},
    )
