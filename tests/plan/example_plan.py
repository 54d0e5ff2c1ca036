"""A setting and cards made by hand, for tests of planning without data or networks."""

from __future__ import annotations

from typing import Any

from transfuse.plan.graph import Plan
from transfuse.plan.ladder import Ladder, ladder
from transfuse.plan.make import make_plan
from transfuse.plan.recipe import validated
from transfuse.plan.setting import RowBlock, RunRows, Setting
from transfuse.types import Card, Prepare, Tap


def card(name: str, *, width: int = 8, classes: tuple[str, ...] = ()) -> Card:
    taps = {
        "stem": Tap("stem", "map", 4, "stem", layout="nchw", size=(14, 14)),
        "early": Tap("early", "map", 6, "early", layout="nchw", size=(14, 14)),
        "map": Tap("map", "map", width, "late", layout="nchw", size=(7, 7)),
        "vector": Tap("vector", "vector", width, "head", side="input"),
        "logits": Tap("logits", "logits", len(classes) or 10, ""),
    }
    return Card(name, f"demo:{name}", "demo", "0" * 64, Prepare(28), taps, len(classes) or 10, classes)


def setting(*, keys: dict[str, str] | None = None, crossfit: bool = False, runs: int = 2, **recipe: Any) -> Setting:
    cards = {name: card(name) for name in ("a", "b", "c")[: recipe.pop("count", 2)]}
    given = {"sources": {name: f"demo:{name}" for name in cards}, "data": "x", **recipe}
    checked = validated(given, where="test")
    block, test = RowBlock("pool", "pool-key", 100), RowBlock("test", "test-key", 50)

    def run(index: int, name: str) -> RunRows:
        return RunRows(name, f"rows-{name}", index, crossfit, (block,), (test,), 80, 20, 50)

    return Setting(
        recipe=checked,
        cards=cards,
        card_keys=keys or {name: f"card-{name}" for name in cards},
        items_key="items-key",
        classes=("x", "y", "z"),
        canvas=28,
        protocol="crossfit" if crossfit else "locked",
        runs=tuple(run(index, f"{'f' if crossfit else 's'}{index}") for index in range(runs)),
        final=run(runs, "final") if crossfit else None,
        identity="identity",
    )


def arms(made: Setting) -> Ladder:
    return ladder(made.recipe, made.cards, made.classes)


def plan(made: Setting) -> Plan:
    return make_plan(made, arms(made))
