"""`npz:FILE` is a numpy archive of images and labels; without this reader people would write their own, with pickle.

Arrays: x (or images, data), y (or labels, targets), and optionally group, split, ids. A path ending in `.npz` will do.
For a multilabel task y is `[N, C]` of 0 and 1, for a regression `[N]` or `[N, T]`; `classes` names its columns.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.data.items import Items
from transfuse.data.open import is_path
from transfuse.data.readers import arrays
from transfuse.errors import UserError
from transfuse.files.arrays import read_npz
from transfuse.types import TaskKind

TRAITS = {"form": "npz:FILE", "kinds": "multiclass, multilabel, regression"}


def matches(spec: Any) -> bool:
    """Strings that begin with `npz:` or end in `.npz`."""
    return isinstance(spec, str) and (spec.startswith("npz:") or (is_path(spec) and spec.lower().endswith(".npz")))


def files(spec: str, root: Path) -> list[Path]:
    """The archive."""
    path = root / Path(spec.removeprefix("npz:")).expanduser()
    if not path.is_file():
        raise UserError("file not found", where=str(path))
    return [path]


def index(spec: str, root: Path, kind: TaskKind = "multiclass") -> Items:
    """The item table of the archive."""
    path = files(spec, root)[0]
    return arrays.tabled(read_npz(path), str(path), kind)[1]


def reader(spec: str, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Pixels by row."""
    path = files(spec, root)[0]
    images, _ = arrays.pixels(read_npz(path), str(path), len(items))
    return lambda row: images[row]
