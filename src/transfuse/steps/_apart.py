"""The sources' frozen features on rows apart: what attribution, similarity and scores ask without meeting a judged row
before its turn.

Locked: the selection rows, dealt into five folds by group or id. Cross-fitted: all rows of the first repeat, each with
its fold there, since every fold's answer may rest on the others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import softmax

from transfuse import seeds
from transfuse.cells import filled
from transfuse.data.items import Items
from transfuse.store import Artifact
from transfuse.types import Features, ItemTable

FOLDS = 5


def features(
    inputs: Mapping[str, Artifact], items: Items, rows: Mapping[str, Artifact], repeats: Mapping[str, int] | None
) -> Features | None:
    """Features from the inputs `features|SOURCE|NUMBER`: a source read at several taps has them side by side; and the
    answers of the sources' own heads, from the logits of `answers|SOURCE`, where these were asked.

    `repeats` tells the repeat of each fold, None the locked protocol. A source whose features failed is left out; None
    where no source is left.
    """
    parts: dict[str, list[Artifact]] = {}
    for role, artifact in inputs.items():
        if role.startswith("features|"):
            parts.setdefault(role.split("|")[1], []).append(artifact)
    sound = {name: found for name, found in parts.items() if not any("failed" in part.meta for part in found)}
    if not sound:
        return None
    every = next(iter(sound.values()))[0]["rows"]
    blocks = {name: np.concatenate([whole(part) for part in found], axis=1) for name, found in sound.items()}
    groups = None if items.groups is None else tuple(items.groups[row] for row in every)
    table = ItemTable(tuple(items.ids[row] for row in every), items.targets()[every], groups)
    folds = _drawn(table) if repeats is None else _dealt(every, rows, repeats)
    own = {role.split("|")[1]: found for role, found in inputs.items() if role.startswith("answers|")}
    answers = {
        name: softmax(found["block"].astype(np.float64), axis=1)
        for name, found in own.items()
        if name in blocks and "failed" not in found.meta
    }
    return Features(blocks, table, folds, answers)


def whole(features: Artifact) -> np.ndarray:
    """A block of features [n, D], with means where numbers of a table are missing."""
    return filled(features["block"], features.meta.get("numbers", 0))


def _drawn(table: ItemTable) -> np.ndarray:
    """Five folds by a draw that is tied to each item's id, or its group's name."""
    names = list(table.groups or table.ids)
    return np.floor(FOLDS * seeds.uniform(names, "features", "folds")).astype(np.int64)


def _dealt(every: np.ndarray, rows: Mapping[str, Artifact], repeats: Mapping[str, int]) -> np.ndarray:
    """The number of the fold that judges each row in the first repeat."""
    folds = np.full(len(every), -1, dtype=np.int64)
    for number, run in enumerate(run for run, repeat in repeats.items() if repeat == 0):
        folds[np.isin(every, rows[run]["judge"])] = number
    return folds
