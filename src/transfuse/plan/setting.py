"""What a plan rests on beside its ladder: rows, runs, and the setting; without it every part would ask for it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transfuse.plan.exposures import Exposure
from transfuse.plan.recipe import Recipe
from transfuse.types import Card


@dataclass(frozen=True)
class RowBlock:
    """Rows whose features are computed together: a seed's draw, the whole pool, the selection or the judged rows."""

    name: str
    key: str
    count: int


@dataclass(frozen=True)
class RunRows:
    """One seed or fold: the key of its rows, and which blocks cover what it trains and chooses on, and is judged on.

    `repeat` counts repeats of cross-fitting. `smaller` are the same run with fewer training rows, rising and nested.
    """

    name: str
    key: str
    seed: int
    final_fit: bool
    blocks: tuple[RowBlock, ...]
    judged: tuple[RowBlock, ...]
    train_count: int
    held_count: int
    judge_count: int
    repeat: int = 0
    smaller: tuple[RunRows, ...] = ()


@dataclass(frozen=True)
class Setting:
    """What a plan rests on beside the ladder; `own` are items by source, `pools` unlabelled items by
    name, `metric_digests` of users' metrics by name; `look_alikes` tells by what was compared where pairs are kept."""

    recipe: Recipe
    cards: Mapping[str, Card]
    card_keys: Mapping[str, str]
    items_key: str
    classes: Sequence[str]
    canvas: int
    protocol: str
    runs: tuple[RunRows, ...]
    final: RunRows | None
    identity: str
    leaks: tuple[str, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    own: Mapping[str, Exposure] = field(default_factory=dict)
    pools: Mapping[str, Exposure] = field(default_factory=dict)
    metric_digests: Mapping[str, str] = field(default_factory=dict)
    look_alikes: Mapping[str, str] = field(default_factory=dict)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Who shares a choice: all seeds of a locked protocol; each fold of a cross-fitted one, and the final fit."""
        if self.protocol == "locked":
            return (Scope("", self.runs),)
        return tuple(Scope(f" {run.name}", (run,)) for run in self.runs)

    def label(self, run: RunRows) -> str:
        """What the names of the choices of this run end in."""
        return "" if self.protocol == "locked" else f" {run.name}"


@dataclass(frozen=True)
class Scope:
    """Runs that share one choice: all seeds of a locked protocol, or one fold of a cross-fitted one."""

    label: str
    runs: tuple[RunRows, ...]
