"""What arms are asked beyond their own data, made ready for the plan: conditions, items of another kind, own tasks.

Items of another kind are answered as the judged rows are: under cross-fitting each by one fold's models, so that inside
and outside items meet the same mixture of models; under a locked split by every seed's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from transfuse.data.draw import shuffled
from transfuse.data.extra import Extra, pool_rows, rows_of
from transfuse.data.items import Items
from transfuse.data.split import Partition
from transfuse.errors import UserError, unknown_name
from transfuse.plan.attacks import attacks
from transfuse.plan.conditions import attacks_of
from transfuse.plan.exposures import Exposure, conditions
from transfuse.plan.recipe import Recipe
from transfuse.plan.setting import RowBlock
from transfuse.run.shards import Keep, shards
from transfuse.types import Card

# The item table of a data set with its key.
Table = Callable[[Any], tuple[str, Items]]


@dataclass(frozen=True)
class Surroundings:
    """`items` and `reads` are by the sets' names; `own` are the sources' own tasks by source, `pools` the unlabelled
    items by name; `notes` are sentences."""

    exposures: tuple[Exposure, ...] = ()
    own: Mapping[str, Exposure] = field(default_factory=dict)
    pools: Mapping[str, Exposure] = field(default_factory=dict)
    items: Mapping[str, Items] = field(default_factory=dict)
    reads: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> list[Any]:
        """What of them makes a plan another plan, beside the recipe."""
        return [[name, found.fingerprint] for name, found in sorted(self.items.items())]


def surroundings(
    recipe: Recipe, sets: Sequence[Extra], known: Items, parts: Partition, table: Table, keep: Keep
) -> Surroundings:
    """Everything the recipe asks for. Errors, before any work: own tasks of unknown sources, sets without new items."""
    asked = recipe.judge
    made = Surroundings(exposures=conditions(asked.conditions))
    if attacks_of(asked.conditions):
        rows = _attacked(known, parts, keep, asked.attacked)
        made = replace(made, exposures=(*made.exposures, *attacks(asked.conditions, asked.transfer, rows)))
    for extra in sets:
        if extra.kind == "own" and extra.about not in recipe.sources:
            raise unknown_name("source", extra.about, recipe.sources, where=f"data.extra, '{extra.name}'")
        key, items = table(extra.read)
        if extra.kind == "pool":
            made = replace(made, pools={**made.pools, extra.name: _pool(extra, key, items, known, parts, keep)})
            made = replace(made, items={**made.items, extra.name: items}, reads={**made.reads, extra.name: extra.read})
            continue
        rows, left = rows_of(extra, items, known)
        # A source's own task is one question, asked of all its items at once.
        blocks = (RowBlock("items", keep({"rows": rows}), len(rows)),) if extra.kind == "own" else None
        covers = blocks or shards("items", rows, keep)
        exposure = Exposure(extra.name, {"extra": extra.name}, items_key=key, covers=covers)
        made = replace(made, items={**made.items, extra.name: items}, reads={**made.reads, extra.name: extra.read})
        if extra.kind == "own":
            made = replace(made, own={**made.own, extra.about: exposure})
            continue
        dealt = _answered(items, rows, parts)
        exposure = replace(
            exposure, rows={name: RowBlock(name, keep({"judge": found}), len(found)) for name, found in dealt.items()}
        )
        note = f"{left} items of {extra.name} also stand in the data and were left out"
        made = replace(made, exposures=(*made.exposures, exposure), notes=(*made.notes, *([note] if left else [])))
    return made


def _pool(extra: Extra, key: str, items: Items, known: Items, parts: Partition, keep: Keep) -> Exposure:
    """Unlabelled items: the same for every run, since no run trains, chooses or is judged on any of them."""
    every = [(run.train, run.calibrate, run.judge, *(rows for fit in run.fits for rows in (fit.fit, fit.held)))
             for run in parts.runs]  # fmt: skip
    taken = np.unique(np.concatenate([rows for run in every for rows in run]))
    rows = pool_rows(extra, items, {known.digests[row] for row in taken})
    covers = shards("items", rows, keep)
    asked = RowBlock(extra.name, keep({"judge": rows}), len(rows))
    names = [*(run.name for run in parts.runs), "final"]
    return Exposure(extra.name, {"extra": extra.name}, items_key=key, covers=covers, rows=dict.fromkeys(names, asked))


def _attacked(known: Items, parts: Partition, keep: Keep, count: int) -> dict[str, RowBlock]:
    """The attacked rows of each run: of all judged rows the `count` with the lowest draws of their ids."""
    every = np.unique(np.concatenate([run.judge for run in parts.runs]))
    chosen = shuffled(known, every, "attacked")[:count]
    dealt = {run.name: np.intersect1d(run.judge, chosen) for run in parts.runs}
    return {name: RowBlock(name, keep({"judge": rows}), len(rows)) for name, rows in dealt.items()}


def _answered(items: Items, rows: np.ndarray, parts: Partition) -> dict[str, np.ndarray]:
    """Which rows each run answers, by run."""
    if parts.protocol == "locked":
        return {run.name: rows for run in parts.runs}
    found: dict[str, np.ndarray] = {}
    for repeat in sorted({run.repeat for run in parts.runs}):
        names = [run.name for run in parts.runs if run.repeat == repeat]
        if len(rows) < len(names):
            raise UserError(
                "a set of fewer items than folds cannot be answered by all of them", got=f"{len(rows)} items"
            )
        order = shuffled(items, rows, "extra", "fold", repeat)
        found |= {name: np.sort(order[place :: len(names)]) for place, name in enumerate(names)}
    return found


def check_own(own: Mapping[str, Exposure], items: Mapping[str, Items], cards: Mapping[str, Card]) -> None:
    """Refuse own tasks whose labels are not what the source answers: they would be counted as forgotten."""
    for source in own:
        labels = {label for label in items[f"own:{source}"].labels if label is not None}
        strange = sorted(labels - set(cards[source].classes))
        if strange or not labels:
            raise UserError(
                "a source's own task is labelled by the source's own classes",
                where=f"data.extra, 'own:{source}'",
                expected=", ".join(cards[source].classes[:10]) or "a source that names its classes",
                got=", ".join(strange[:5]) or "no labels",
            )
