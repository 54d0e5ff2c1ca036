"""Canvases as a step sees them: of its items, under its condition; without this file every step that looks at pixels
would know of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from transfuse.steps import Context
from transfuse.store import Artifact

Canvases = Callable[[Sequence[int] | np.ndarray], np.ndarray]


def canvases(params: Mapping[str, Any], items: Artifact, context: Context) -> Canvases:
    """Rows to canvases [n, 3, S, S] float32 in [0, 1], or [n, S] uint8 of texts.

    `params` hold `canvas`, perhaps `condition` and `extra`.
    """
    from transfuse.data.canvas import batch

    data, side, condition = context.open(items, params.get("extra")), params["canvas"], params.get("condition")
    if condition is None:
        return lambda rows: batch(data, rows, side)

    from transfuse.conditions import under

    targets = data.items.targets()

    def changed(rows: Sequence[int] | np.ndarray) -> np.ndarray:
        ids = [data.items.ids[int(row)] for row in rows]
        found = targets[np.asarray(rows, dtype=np.int64)]
        return under(condition["name"], condition["level"], batch(data, rows, side), targets=found, ids=ids)

    return changed
