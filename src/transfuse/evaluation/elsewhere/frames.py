"""Frames and series of pandas, by what their columns and rows are called; as bare arrays they would lose both.

The default row numbers 0, 1, 2 … name nothing; any other index names items, and a column `item` goes before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from transfuse.evaluation.elsewhere.files import ITEM, LABEL, SEED
from transfuse.types import TaskKind


def framed(source: Any) -> bool:
    """Whether it has pandas' rows by name; nobody needs pandas for that."""
    return hasattr(source, "iloc") and hasattr(source, "index") and hasattr(source, "to_numpy")


def predictions_of(source: Any) -> Any:
    """A frame with one column a class, label or target (and perhaps `item` and `seed`) as the arrays of an npz."""
    if not framed(source):
        return source
    frame = source.to_frame() if source.ndim == 1 else source
    apart = {name: np.asarray(frame[name]) for name in (ITEM, SEED) if name in frame.columns}
    columns = [name for name in frame.columns if name not in apart]
    found: dict[str, Any] = {"scores": frame[columns].to_numpy()}
    if not _default(frame[columns].columns):
        found["classes"] = [str(name) for name in columns]
    ids = apart.get(ITEM, None if _default(frame.index) else np.asarray(frame.index))
    if ids is not None:
        found["ids"] = ids
    return found | ({SEED: apart[SEED]} if SEED in apart else {})


def labels_of(source: Any, kind: TaskKind) -> Any:
    """Labels in a series or a frame as a mapping of columns, `item` among them."""
    if not framed(source):
        return source
    frame = source.to_frame() if source.ndim == 1 else source
    columns = {str(name): np.asarray(frame[name]) for name in frame.columns}
    if kind == "multiclass" and LABEL not in columns and len(columns) == 1:
        columns = {LABEL: next(iter(columns.values()))}
    return {ITEM: np.asarray(frame.index)} | columns


def _default(index: Any) -> bool:
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1
