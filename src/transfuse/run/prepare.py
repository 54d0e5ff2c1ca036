"""From a recipe to a plan: the data's table, the sources' cards and the rows of every run, each made once and kept.

With these in the store nothing here imports torch, so that `plan` and an unchanged `run` take a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from transfuse import __version__
from transfuse.data.items import Items
from transfuse.data.open import (
    Settings,
    columns,
    field_of,
    index,
    open_data,
    read_as,
    settings,
    signature,
    with_columns,
)
from transfuse.data.prefix import prefix
from transfuse.data.split import Fit, Partition, Run, partition
from transfuse.events import Emit, silent
from transfuse.jsonio import digest, plain
from transfuse.plan.fields import check_arms, check_asked
from transfuse.plan.graph import Plan
from transfuse.plan.heads import with_mappings
from transfuse.plan.ladder import Ladder, ladder
from transfuse.plan.make import make_plan
from transfuse.plan.recipe import Recipe
from transfuse.plan.search_entry import check_search
from transfuse.plan.setting import RowBlock, RunRows, Setting
from transfuse.run import near
from transfuse.run.cards import auto_canvas, cards_of, checked_extras, of_columns
from transfuse.run.leaks import leaks
from transfuse.run.own_metrics import own_metrics
from transfuse.run.shards import shards
from transfuse.run.surroundings import Surroundings, check_own, surroundings
from transfuse.store import Store
from transfuse.types import Card


@dataclass(frozen=True)
class Prepared:
    """A plan and what it was made from; `hints` are what only `plan` tells, since the evidence tells it in full."""

    recipe: Recipe
    root: Path
    items: Items
    partition: Partition
    cards: Mapping[str, Card]
    setting: Setting
    ladder: Ladder
    plan: Plan
    fingerprint: str
    surroundings: Surroundings = field(default_factory=Surroundings)
    hints: tuple[str, ...] = ()

    def restricted(self, arms: Ladder) -> Prepared:
        """The same with fewer arms."""
        return replace(self, ladder=arms, plan=make_plan(self.setting, arms))


def prepare(
    recipe: Recipe, *, root: Path, store: Store, modules: Mapping[str, Any] | None = None, emit: Emit = silent
) -> Prepared:
    """Read what must be read, check what can be checked, and plan."""
    recipe = with_mappings(recipe, root)
    if any(of_columns(entry) for entry in recipe.entries.values()):
        recipe = recipe.model_copy(update={"data": with_columns(recipe.data)})
    check_search(recipe.search)
    wanted = read_as(recipe.data, recipe.task.kind)
    digests = own_metrics(recipe, root)
    items_key, items = _items(wanted, root, store, emit)
    parts = _partition(items, wanted.splits, recipe, store)
    field = field_of(wanted, root)
    check_asked(recipe, field)
    side = wanted.canvas or auto_canvas(recipe, root, store, modules or {}, items, emit, field)

    def raw() -> Callable[[int], np.ndarray]:
        return open_data(wanted, root, items=items).raw

    looked = near.looked(wanted, items, parts, raw, store, emit, field, side)
    parts = replace(parts, notes=(*parts.notes, *looked.notes, *columns(wanted, root)[1]))
    card_keys, cards = cards_of(recipe, side, root, store, modules or {}, emit, field)
    around = surroundings(
        recipe,
        checked_extras(wanted, root, field),
        items,
        parts,
        table=lambda read: _items(settings(read), root, store, emit),
        keep=lambda arrays: _kept(store, arrays),
    )
    check_own(around.own, around.items, cards)
    parts = replace(parts, notes=(*parts.notes, *around.notes))
    runs, final = _runs(parts, items, store, recipe.smaller_sizes)
    judged = np.unique(np.concatenate([run.judge for run in parts.runs]))
    fingerprint = digest(["judged", [[items.ids[row], items.labels[row]] for row in judged]])
    setting = Setting(
        recipe=recipe,
        cards=cards,
        card_keys=card_keys,
        items_key=items_key,
        classes=items.classes,
        canvas=side,
        protocol=parts.protocol,
        runs=runs,
        final=final,
        identity=_identity(recipe, items, digests, card_keys, side, [run.key for run in runs], around),
        leaks=tuple(leaks(items, parts, recipe, root)),
        exposures=around.exposures,
        own=around.own,
        pools=around.pools,
        metric_digests=digests,
        look_alikes=looked.keys,
    )
    arms = ladder(recipe, cards, items.classes)
    check_arms(arms.every(), field)
    plan = make_plan(setting, arms)
    return Prepared(recipe, root, items, parts, cards, setting, arms, plan, fingerprint, around, looked.hints)


def _identity(
    recipe: Recipe,
    items: Items,
    digests: Mapping[str, str],
    card_keys: Mapping[str, str],
    side: int,
    runs: Sequence[str],
    around: Surroundings,
) -> str:
    """What makes a plan another plan beside its steps: the recipe as far as it decides, and what it starts from."""
    return digest(
        [
            plain(_fixed(recipe) | dict(digests)),
            items.fingerprint,
            card_keys,
            side,
            runs,
            *[[name, entry.classes] for name, entry in recipe.sources.items() if entry.classes is not None],
            *around.identity,
            *digests.values(),
        ]
    )


def _fixed(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe makes a plan another plan: not where it runs, for how long, or what it is called."""
    asked = {"ranks": recipe.run.ranks > 1, "shard_weights": recipe.run.shard_weights}
    run = {"workers", "store", "device", *(name for name, changes in asked.items() if not changes)}
    return recipe.model_dump(exclude={"budget": True, "data": True, "sources": True, "title": True, "run": run})


def _items(wanted: Settings, root: Path, store: Store, emit: Emit) -> tuple[str, Items]:
    """The table of items; read and checked again only when a file's name, size or time changed."""
    named = wanted.read if isinstance(wanted.read, str) else None
    quick = digest(["index", __version__, signature(wanted, root), named])
    known = store.get(quick)
    if known is not None and (kept := store.get(known.meta["items"])) is not None:
        return known.meta["items"], Items.from_json(kept.meta)
    emit("step_started", step="index", kind="index", key=quick)
    items = index(wanted, root)
    key = digest(["items", items.fingerprint])
    store.put(key, items.to_json())
    store.put(quick, {"items": key})
    emit("step_done", step="index", kind="index", key=quick)
    return key, items


def _partition(items: Items, splits: Mapping[str, Any] | None, recipe: Recipe, store: Store) -> Partition:
    facts = [__version__, items.fingerprint, plain(dict(splits or {})), recipe.protocol, recipe.seeds]
    repeats = {"repeats": recipe.repeats} if recipe.repeats > 1 else {}
    key = digest(["partition", facts, *repeats.values()])
    known = store.get(key)
    if known is not None:
        return Partition.from_json(known.meta)
    made = partition(items, splits=splits, protocol=recipe.protocol, seeds=recipe.seeds, **repeats)
    store.put(key, made.to_json())
    return made


def _kept(store: Store, arrays: Mapping[str, np.ndarray]) -> str:
    key = digest(["rows", {name: array.tolist() for name, array in arrays.items()}])
    if not store.has(key):
        store.put(key, None, arrays)
    return key


def kept_rows(store: Store, name: str, rows: np.ndarray) -> RowBlock:
    ordered = np.unique(rows)
    return RowBlock(name, _kept(store, {"rows": ordered}), len(ordered))


def _runs(
    parts: Partition, items: Items, store: Store, sizes: Sequence[float]
) -> tuple[tuple[RunRows, ...], RunRows | None]:
    """Rows of each run, and the blocks whose features cover them.

    Locked: where the draws together are more than the pool, the pool is one block for all seeds, else each draw is its
    own; so adding a seed computes features for that seed only. Cross-fitted: what is delivered in the end is fitted to
    all rows, and the folds of the first repeat are its inner ones.
    """
    shrink = Shrink(items, store, sizes)
    if parts.protocol == "crossfit":
        every = kept_rows(store, "all", np.concatenate([run.judge for run in parts.runs]))
        runs = tuple(
            shrink(_run(store, run, number, (every,), (every,), final_fit=True), run)
            for number, run in enumerate(parts.runs)
        )
        first = [run for run in parts.runs if run.repeat == 0]
        rows = np.sort(np.concatenate([run.judge for run in first]))
        fits = [np.setdiff1d(rows, run.judge) for run in first]
        arrays = {"train": rows, "calibrate": rows, "judge": rows[:0]}
        arrays |= {f"fit{index}": fit for index, fit in enumerate(fits)}
        arrays |= {f"held{index}": run.judge for index, run in enumerate(first)}
        final = RunRows(
            "final", _kept(store, arrays), len(runs), True, (every,), (), len(rows) * len(fits), len(rows), 0
        )
        return runs, final
    first = parts.runs[0]
    selection = kept_rows(store, "val", np.concatenate([first.calibrate, *(fit.held for fit in first.fits)]))
    keep = partial(_kept, store)
    judged = shards("test", first.judge, keep)
    apart = np.concatenate([first.judge, first.calibrate, *(fit.held for fit in first.fits)])
    pool = np.setdiff1d(np.flatnonzero(items.labelled()), apart)
    whole = sum(len(run.train) for run in parts.runs) > len(pool)
    runs = []
    for number, run in enumerate(parts.runs):
        draw = shards("pool", pool, keep) if whole else shards(run.name, run.train, keep)
        runs.append(shrink(_run(store, run, number, (*draw, selection), judged, final_fit=False), run))
    return tuple(runs), None


def _run(
    store: Store, run: Run, number: int, blocks: Sequence[RowBlock], judged: Sequence[RowBlock], *, final_fit: bool
) -> RunRows:
    arrays = {"train": run.train, "calibrate": run.calibrate, "judge": run.judge}
    for number_of_fit, fit in enumerate(run.fits):
        arrays |= {f"fit{number_of_fit}": fit.fit, f"held{number_of_fit}": fit.held}
    return RunRows(
        name=run.name,
        key=_kept(store, arrays),
        seed=number,
        final_fit=final_fit,
        blocks=tuple(blocks),
        judged=tuple(judged),
        train_count=sum(len(fit.fit) for fit in run.fits) + (len(run.train) if final_fit else 0),
        held_count=sum(len(fit.held) for fit in run.fits),
        judge_count=len(run.judge),
        repeat=run.repeat,
    )


@dataclass(frozen=True)
class Shrink:
    """Gives a run its versions with fewer training rows; what it chooses and is judged on stays."""

    items: Items
    store: Store
    sizes: Sequence[float]

    def __call__(self, rows: RunRows, run: Run) -> RunRows:
        return replace(rows, smaller=tuple(self._smaller(rows, run, size) for size in self.sizes))

    def _smaller(self, rows: RunRows, run: Run, size: float) -> RunRows:
        fits = tuple(Fit(prefix(self.items, fit.fit, size), fit.held) for fit in run.fits)
        fewer = Run(run.name, fits, prefix(self.items, run.train, size), run.calibrate, run.judge)
        made = _run(self.store, fewer, rows.seed, rows.blocks, rows.judged, final_fit=rows.final_fit)
        return replace(made, name=f"{run.name} at {size:g}")
