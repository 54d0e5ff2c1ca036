"""What looks almost the same across the split: without it the report would know only of exact copies.

Found once for a data set and its runs, and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from transfuse.data import near_duplicates
from transfuse.data.items import Items
from transfuse.data.leakage import look_alikes
from transfuse.data.open import Settings
from transfuse.data.split import Partition
from transfuse.events import Emit
from transfuse.jsonio import digest
from transfuse.store import Store

NAMED = 3


def notes(
    wanted: Settings,
    items: Items,
    parts: Partition,
    raw: Callable[[], Callable[[int], np.ndarray]],
    store: Store,
    emit: Emit,
) -> tuple[str, ...]:
    """Sentences for the report: the clusters kept together, else the judged images with a look-alike on the other side.

    `raw()` opens the pixels; it is called only where they were not looked at before.
    """
    if wanted.groups:
        return tuple(near_duplicates.described(items))
    key = digest(["look-alikes", near_duplicates.REVISION, items.fingerprint, parts.to_json()])
    known = store.get(key)
    if known is None:
        emit("step_started", step="look-alikes", kind="index", key=key)
        store.put(key, {"pairs": look_alikes(items, parts, raw())})
        emit("step_done", step="look-alikes", kind="index", key=key)
        known = store.get(key)
    found: Any = None if known is None else known.meta["pairs"]
    return _sentences(found, parts, declared=any(items.splits))


def _sentences(found: list[list[str]] | None, parts: Partition, *, declared: bool) -> tuple[str, ...]:
    if found is None:
        return ("near-duplicates across the split were not looked for: there are too many pairs of images",)
    if not found:
        return ()
    judged = len(np.unique(np.concatenate([run.judge for run in parts.runs])))
    pairs = "; ".join(f"{left} and {right}" for left, right in found[:NAMED])
    sentence = (
        f"{len(found)} of {judged:,} judged images ({100 * len(found) / judged:.1f} %) look almost like a training "
        f"image (16 x 16 grey values correlate at {near_duplicates.THRESHOLD} or more), e.g. {pairs}"
    )
    if parts.protocol == "crossfit" or not declared:
        sentence += "; `groups: near_duplicates` under `data` keeps them on one side"
    return (sentence,)
