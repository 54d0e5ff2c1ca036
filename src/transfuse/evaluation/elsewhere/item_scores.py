"""Per-item scores of anything, by candidate; without it only what predicts a label could be judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.errors import UserError
from transfuse.evaluation.elsewhere.files import read_item_scores
from transfuse.evaluation.tables import listed


def item_scores(source: Any) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Item ids, and the scores [k, N] of each candidate in that order.

    `source`: a CSV `item,candidate,score`, or {name: array [N] or [k, N]}. Raises `UserError` for candidates of
    different items and for scores that are no finite numbers.
    """
    if isinstance(source, str | Path):
        found = read_item_scores(Path(source))
        ids = tuple(dict.fromkeys(item for held in found.values() for item in held))
        for name, held in found.items():
            missing = [item for item in ids if item not in held]
            if missing:
                raise UserError(
                    f"'{name}' has no score for {len(missing)} items", where=str(source), got=listed(missing)
                )
        return ids, {name: np.array([[held[item] for item in ids]]) for name, held in found.items()}
    if not isinstance(source, Mapping) or not source:
        raise UserError("without labels, predictions are per-item scores", expected="a CSV path or {name: array [N]}")
    arrays = {str(name): np.atleast_2d(np.asarray(values, dtype=np.float64)) for name, values in source.items()}
    for name, values in arrays.items():
        if values.ndim != 2 or not np.isfinite(values).all():
            raise UserError(
                f"the scores of '{name}' must be finite numbers [N] or [k, N]",
                got=f"shape {list(values.shape)}",
                hint="class scores [N, C] need labels",
            )
    if len({values.shape[1] for values in arrays.values()}) != 1:
        text = ", ".join(f"{name}: {values.shape[1]}" for name, values in arrays.items())
        raise UserError("candidates have different numbers of items", got=text)
    count = next(iter(arrays.values())).shape[1]
    return tuple(str(row) for row in range(count)), arrays
