"""Fewer rows of the same: without nested prefixes a curve over sizes would also show which rows were drawn."""

from __future__ import annotations

import numpy as np

from transfuse import seeds
from transfuse.data.items import Items


def prefix(items: Items, rows: np.ndarray, share: float) -> np.ndarray:
    """The first `share` of these rows, in ascending order; stratified by class, every class at least once.

    The order is that of each item's own draw, so a smaller prefix lies inside a larger one, all arms see the same, and
    the order of the table changes nothing. Rows of each class stand at (j + 1/2) / n_c of the way, so every prefix has
    about the shares of the whole; the first of each class come first. Targets that are no classes are one class.
    """
    ids = [items.ids[row] for row in rows]
    draws = seeds.uniform(ids, "sizes", "prefix")
    targets = np.asarray(items.targets())[rows]
    classes = targets if targets.ndim == 1 and np.issubdtype(targets.dtype, np.integer) else np.zeros(len(rows), int)
    order = sorted(range(len(rows)), key=lambda place: (draws[place], ids[place]))
    place_of = np.zeros(len(rows))
    for number in np.unique(classes):
        own = [place for place in order if classes[place] == number]
        place_of[own] = (np.arange(len(own)) + 0.5) / len(own)
        place_of[own[0]] = 0.0
    ranked = sorted(range(len(rows)), key=lambda place: (place_of[place], draws[place], ids[place]))
    count = max(round(share * len(rows)), len(np.unique(classes)))
    return np.sort(np.asarray(rows)[ranked[:count]])
