"""What looks almost the same across the split: without it the report would know only of exact copies.

Found once for a data set and its runs, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from transfuse.data import near_duplicates
from transfuse.data.items import Items
from transfuse.data.leakage import look_alikes
from transfuse.data.open import Settings
from transfuse.data.split import Partition
from transfuse.events import Emit
from transfuse.fields import IMAGE, TEXT, parts
from transfuse.jsonio import digest
from transfuse.store import Store

NAMED = 3
COMPARED = {IMAGE: "16 x 16 grey values", TEXT: "counts of runs of three words"}


@dataclass(frozen=True)
class Looked:
    """What was seen: `notes` are sentences for the report, `hints` those on look-alikes, which the evidence tells in
    full; `keys` tells by what was compared where the pairs are kept."""

    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)


def looked(
    wanted: Settings,
    items: Items,
    partition: Partition,
    raw: Callable[[], Callable[[int], np.ndarray]],
    store: Store,
    emit: Emit,
    whole: str = IMAGE,
    side: int = 0,
) -> Looked:
    """The clusters kept together, else the judged images with a look-alike on the other side.

    `raw()` opens pixels or texts, of items of several parts (`whole`) the first; it is called only where they were not
    looked at before. Of texts how many do not fit a canvas of `side` bytes is told too.
    """
    kind, *_ = parts(whole)
    short = cut(items, side, raw, store) if kind == TEXT else ()
    if wanted.groups:
        return Looked((*near_duplicates.described(items, kind), *short))
    key = digest(["look-alikes", near_duplicates.REVISION, items.fingerprint, partition.to_json()])
    known = store.get(key)
    if known is None:
        emit("step_started", step="look-alikes", kind="index", key=key)
        store.put(key, {"pairs": look_alikes(items, partition, raw(), kind)})
        emit("step_done", step="look-alikes", kind="index", key=key)
        known = store.get(key)
    found: Any = None if known is None else known.meta["pairs"]
    hints = _sentences(found, partition, kind, declared=any(items.splits))
    return Looked(short, hints, {COMPARED[kind]: key})


def cut(items: Items, side: int, raw: Callable[[], Callable[[int], np.ndarray]], store: Store) -> tuple[str, ...]:
    """A sentence on the texts that do not fit the canvas, whose ends nobody reads; none where all do."""
    key = digest(["cut", items.fingerprint, side])
    known = store.get(key)
    if known is None:
        read = raw()
        store.put(key, {"cut": sum(len(read(row)) > side for row in range(len(items)))})
        known = store.get(key)
    count: Any = 0 if known is None else known.meta["cut"]
    share = 100 * count / max(len(items), 1)
    return (f"{count:,} of {len(items):,} texts ({share:.1f} %) are cut off after {side:,} bytes",) if count else ()


def _sentences(found: list[list[str]] | None, partition: Partition, field: str, *, declared: bool) -> tuple[str, ...]:
    if found is None:
        return ("near-duplicates across the split were not looked for: there are too many pairs of items",)
    if not found:
        return ()
    judged = len(np.unique(np.concatenate([run.judge for run in partition.runs])))
    pairs = "; ".join(f"{left} and {right}" for left, right in found[:NAMED])
    sentence = (
        f"{len(found)} of {judged:,} judged {field}s ({100 * len(found) / judged:.1f} %) look almost like a training "
        f"{field} ({COMPARED[field]} correlate at {near_duplicates.THRESHOLDS[field]} or more), e.g. {pairs}"
    )
    if partition.protocol == "crossfit" or not declared:
        sentence += "; `groups: near_duplicates` under `data` keeps them on one side"
    return (sentence,)
