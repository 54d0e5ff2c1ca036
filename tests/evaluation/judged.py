"""A small, complete case with known effects, for the tests of this room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.tables import Table, table
from transfuse.types import Arm, Cost, Form, ItemTable, Predictions, Role, Task

CLASSES = ("ant", "bee", "cow", "doe")
ROLES: dict[str, tuple[Role, Form, float]] = {
    "concat": ("candidate", "fused", 3e6),
    "gate": ("candidate", "fused", 4e6),
    "ensemble": ("baseline", "ensemble", 2e6),
    "frozen/lite0": ("baseline", "single", 1e6),
    "copies": ("control", "ensemble", 5e5),
    "prior": ("baseline", "single", 0.0),
}


def items(count: int = 200, groups: int | None = None, seed: int = 0) -> ItemTable:
    rng = np.random.default_rng(seed)
    named = tuple(f"g{row % groups}" for row in range(count)) if groups else None
    return ItemTable(tuple(f"item{row}" for row in range(count)), rng.integers(0, len(CLASSES), count), named)


def predictions(name: str, known: ItemTable, skill: float, runs: int = 3, seed: int = 1) -> Predictions:
    """Logits of `runs` runs; a higher skill is better, item noise is shared by all arms and runs."""
    shared = np.random.default_rng(seed).normal(size=(len(known), len(CLASSES)))
    own = np.random.default_rng([seed, *name.encode()])
    true = np.eye(len(CLASSES))[known.targets]
    scores = np.stack([skill * true + shared + 0.4 * own.normal(size=shared.shape) for _ in range(runs)])
    return Predictions(name, tuple(f"s{run}" for run in range(runs)), scores, "logit")


def judged(name: str, known: ItemTable, skill: float, runs: int = 3) -> Table:
    return table(predictions(name, known, skill, runs), known, [1.0] * runs)


def arm(name: str, runs: int = 3) -> Arm:
    role, form, flops = ROLES[name]
    return Arm(name, role, (name,), "features/concat", "frozen", form, Cost(1000, 10, flops, 1e9), runs)


SKILLS = {"concat": 3.0, "ensemble": 2.9, "frozen/lite0": 2.0, "copies": 2.5, "prior": 0.0}
LOSSES = {"concat": 0.300, "ensemble": 0.340, "frozen/lite0": 0.500, "copies": 0.1, "prior": 0.05}


def case(
    skills: dict[str, float] | None = None,
    losses: dict[str, float] | None = None,
    runs: int = 3,
    count: int = 200,
    groups: int | None = None,
) -> Case:
    """concat is the winner, frozen/lite0 the best single; compared with it and with the ensemble."""
    known, skills = items(count, groups), skills or SKILLS
    return Case(
        task=Task("multiclass", CLASSES),
        items=known,
        arms=tuple(arm(name, runs) for name in skills),
        tables={name: judged(name, known, skill, runs) for name, skill in skills.items()},
        selection={name: (losses or LOSSES)[name] for name in skills},
        winner="concat",
        best_single="frozen/lite0",
        comparisons=(("concat", "frozen/lite0"), ("concat", "ensemble")),
        margin=MarginRule(),
        protocol="locked",
    )


def changed(one: Case, **fields: object) -> Case:
    return replace(one, **fields)  # pyright: ignore[reportArgumentType]
