"""`sklearn:digits` is scikit-learn's bundled set of 1,797 digits, 8 x 8; without it a first try would need a download.

Its 17 grey levels become floats in [0, 1]. The other bundled sets are tables and are refused by name.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.data.items import Items
from transfuse.data.readers import arrays
from transfuse.errors import UserError, missing_extra, unknown_name

TRAITS = {"form": "sklearn:digits"}
TABLES = ("breast_cancer", "diabetes", "iris", "linnerud", "wine")
GREY_LEVELS = 16


def matches(spec: Any) -> bool:
    """Strings that begin with `sklearn:`."""
    return isinstance(spec, str) and spec.startswith("sklearn:")


def files(spec: str, root: Path) -> list[Path]:
    """The file inside the installed package, found without importing it."""
    _checked(spec)
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise missing_extra("scikit-learn", "sklearn", spec)
    return [Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"]


def index(spec: str, root: Path) -> Items:
    """The item table, labels `0` to `9`, no declared split."""
    return arrays.tabled(_digits(files(spec, root)[0]), spec)[1]


def reader(spec: str, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Pixels `[8, 8]` float32 by row."""
    images, _ = arrays.pixels(_digits(files(spec, root)[0]), spec, len(items))
    return lambda row: images[row]


@cache
def _digits(path: Path) -> dict[str, np.ndarray]:
    # What `load_digits` reads; importing scikit-learn for it would take every process more than a second.
    rows = np.loadtxt(path, delimiter=",")
    return {"x": (rows[:, :-1] / GREY_LEVELS).reshape(-1, 8, 8), "y": rows[:, -1].astype(np.int64)}


def _checked(spec: str) -> None:
    name = spec.removeprefix("sklearn:")
    if name in TABLES:
        hint = "sklearn:digits, a folder, a CSV, IDX or npz of images"
        raise UserError(f"'{name}' is a table, and only images can be read yet", where=spec, hint=hint)
    if name != "digits":
        raise unknown_name("bundled data set", name, ["digits"], where=spec)
