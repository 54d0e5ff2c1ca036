"""What stands on both sides of the split, by all that look for it; without it each finder would tell its own story."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transfuse.data.items import Items
from transfuse.evaluation.nearest import Near
from transfuse.store import Artifact
from transfuse.types import Undefined

UNLOOKED = "there are too many pairs of items to look at"


def nearest(inputs: Mapping[str, Artifact], items: Items, judged: np.ndarray) -> dict[str, Near | Undefined]:
    """By finder: pixels or words from `look_alikes|NAME`, sources from `nearest|SOURCE`, in this order."""
    found: dict[str, Near | Undefined] = {}
    for role, artifact in inputs.items():
        kind, *name = role.split("|")
        if kind == "look_alikes":
            found[name[0]] = _look_alikes(artifact.meta["pairs"], items, judged)
    for role, artifact in inputs.items():
        kind, *name = role.split("|")
        if kind == "nearest":
            found[name[0]] = _by_source(artifact, items)
    return found


def _look_alikes(pairs: list[tuple[str, str]] | None, items: Items, judged: np.ndarray) -> Near | Undefined:
    """Look-alikes have names of pairs only, and no distance."""
    if pairs is None:
        return Undefined(UNLOOKED)
    partner = {left: right for left, right in pairs}  # noqa: C416 - JSON has lists for pairs
    other = tuple(partner.get(items.ids[row], "") for row in judged)
    label = None
    if items.kind == "multiclass":
        targets, rows = items.targets(), {name: row for row, name in enumerate(items.ids)}
        label = np.array([targets[rows[name]] if name else -1 for name in other], dtype=np.int64)
    return Near(np.array([bool(name) for name in other]), other, None, label)


def _by_source(artifact: Artifact, items: Items) -> Near | Undefined:
    if "undefined" in artifact.meta:
        return Undefined(artifact.meta["undefined"])
    rows = artifact["other"]
    other = tuple(items.ids[row] if row >= 0 else "" for row in rows)
    label = np.where(rows >= 0, items.targets()[rows], -1) if items.kind == "multiclass" else None
    return Near(artifact["close"], other, artifact["ratio"], label, artifact.meta)
