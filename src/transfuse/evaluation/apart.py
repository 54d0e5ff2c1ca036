"""Some of the rows apart, whatever their order: without it a question's answer would hang on how a table was sorted."""

from __future__ import annotations

import numpy as np

from transfuse import seeds
from transfuse.types import Features, ItemTable


def at_most(features: Features, most: int, name: str) -> Features:
    """At most so many rows, those with the lowest draw of their ids, in the order of their ids."""
    items = features.items
    rows = sorted(range(len(items)), key=items.ids.__getitem__)
    if len(rows) > most:
        draws = seeds.uniform(list(items.ids), "evaluate", name)
        kept = set(np.argsort(draws, kind="stable")[:most].tolist())
        rows = [row for row in rows if row in kept]
    groups = None if items.groups is None else tuple(items.groups[row] for row in rows)
    table = ItemTable(tuple(items.ids[row] for row in rows), np.asarray(items.targets)[rows], groups)
    blocks, answers = (
        {key: np.asarray(block)[rows] for key, block in known.items()} for known in (features.blocks, features.answers)
    )
    return Features(blocks, table, features.folds[rows], answers)
