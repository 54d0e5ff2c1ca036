"""`(X, y)` or `{x: X, y: y, ...}` are images and labels in memory; without it they would go by way of the disk.

X is `[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`, uint8 or floats in [0, 1]. y holds class names, or whole numbers
where -1 means unlabelled; without y nothing is labelled. The mapping may also hold `group`, `split` and `ids`, without
which items are `00000`, `00001`, … For a multilabel task y is `[N, C]` of 0 and 1 (a row of -1 is unlabelled), for a
regression `[N]` or `[N, T]` of finite numbers; `classes` then names the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.data.items import Items, Label, array_digest, table
from transfuse.data.labels import BINARISE, of_array
from transfuse.errors import UserError, unknown_name
from transfuse.files.images import stack
from transfuse.types import TaskKind

TRAITS = {"form": "(X, y) arrays", "kinds": "multiclass, multilabel, regression"}
NAMES = {
    "x": ("x", "X", "images", "data"),
    "y": ("y", "labels", "targets"),
    "group": ("group", "groups"),
    "split": ("split", "splits"),
    "ids": ("ids", "id"),
    "classes": ("classes", "names"),
}
MEMORY = "data in memory"


def matches(spec: Any) -> bool:
    """A pair of arrays, or a mapping that holds an array called x, X, images or data."""
    if isinstance(spec, tuple):
        return len(spec) == 2 and hasattr(spec[0], "shape") and len(spec[0].shape) > 0
    return isinstance(spec, Mapping) and any(hasattr(spec.get(name), "shape") for name in NAMES["x"])


def files(spec: Any, root: Path) -> list[Path]:
    """None: the content itself is hashed."""
    return []


def index(spec: Any, root: Path, kind: TaskKind = "multiclass") -> Items:
    """The item table of the arrays."""
    return tabled(_named(spec), MEMORY, kind)[1]


def reader(spec: Any, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Pixels by row."""
    images, _ = pixels(_named(spec), MEMORY, len(items))
    return lambda row: images[row]


def tabled(named: Mapping[str, np.ndarray], where: str, kind: TaskKind = "multiclass") -> tuple[np.ndarray, Items]:
    """Pixels `[N, H, W]` or `[N, H, W, 3]` and the item table of named arrays; errors name the array."""
    images, found = pixels(named, where)
    called = found.pop("classes", None)
    labels: Sequence[Label] | None = None
    classes = None
    if kind != "multiclass" and "y" in found:
        targets = found.pop("y")
        if len(targets) != len(images):
            got = f"{len(targets)} for {len(images)} images"
            raise UserError("one entry per image is needed", where=f"{where}, array 'y'", got=got)
        shown = None if called is None else [str(name) for name in called.ravel().tolist()]
        labels, classes = of_array(targets, kind, shown, f"{where}, array 'y'")
    elif called is not None and "y" in found:
        found["y"] = _called(found["y"], [str(name) for name in called.ravel().tolist()], where)
    texts = {role: names(array, len(images), f"{where}, array '{role}'") for role, array in found.items()}
    labels = labels if labels is not None else texts.get("y", [None] * len(images))
    groups = texts.get("group")
    if groups is not None and None in groups:
        raise UserError(
            "every item needs a group, or none has one", where=where, got=f"none at row {groups.index(None)}"
        )
    ids = [str(name) for name in texts["ids"]] if "ids" in texts else [f"{row:05d}" for row in range(len(images))]
    return images, table(
        ids,
        labels,
        [array_digest(image) for image in images],
        groups=None if groups is None else [str(group) for group in groups],
        splits=texts.get("split"),
        where=where,
        kind=kind,
        classes=classes,
    )


def pixels(
    named: Mapping[str, np.ndarray], where: str, count: int | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The checked pixels, and the other arrays by role; `count` is the number of rows expected."""
    found = {role: _pick(named, role, where) for role in NAMES}
    images = found.pop("x")
    if images is None:
        got = ", ".join(sorted(named)) or "nothing"
        raise UserError("no array of images", where=where, expected="one called " + ", ".join(NAMES["x"]), got=got)
    if count is not None and len(images) != count:
        raise UserError(
            "data have changed since they were indexed", where=where, got=f"{len(images)} rows, not {count}"
        )
    return stack(images, where), {role: array for role, array in found.items() if array is not None}


def names(array: np.ndarray, count: int, where: str) -> list[str | None]:
    """One name per item: texts as they are ('' = none), whole numbers as digits (-1 = none); N must be `count`."""
    if array.shape != (count,):
        raise UserError(
            "one entry per image is needed", where=where, expected=f"shape [{count}]", got=f"{list(array.shape)}"
        )
    if array.dtype.kind == "f" and np.all(np.isfinite(array)) and np.all(array == np.round(array)):
        array = array.astype(np.int64)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind == "O":
        array = np.array([_text(value, where) for value in array.tolist()], dtype=object)
        return [str(value) or None for value in array]
    if array.dtype.kind in "U":
        return [str(value) or None for value in array.tolist()]
    if array.dtype.kind in "iub":
        return [None if value == -1 else str(int(value)) for value in array.tolist()]
    raise UserError(
        "must be names or whole numbers",
        where=where,
        got=f"type {array.dtype}",
        hint="task: {kind: regression} learns numbers",
    )


def _text(value: Any, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return "" if value == -1 else str(value)
    raise UserError("must be names or whole numbers", where=where, got=repr(value)[:80])


def _pick(named: Mapping[str, Any], role: str, where: str) -> np.ndarray | None:
    present = [name for name in NAMES[role] if named.get(name) is not None]
    if len(present) > 1:
        raise UserError(f"two arrays for one role: {' and '.join(present)}", where=where)
    try:
        return np.asarray(named[present[0]]) if present else None
    except ValueError as error:
        hint = BINARISE if role == "y" else None
        where = f"{where}, array '{role}'"
        raise UserError("rows of different lengths are no array", where=where, hint=hint) from error


def _called(labels: np.ndarray, classes: Sequence[str], where: str) -> np.ndarray:
    """Class numbers as the names of their classes; labels that are names must be among these."""
    if len(set(classes)) != len(classes):
        raise UserError("two classes have one name", where=f"{where}, array 'classes'", got=", ".join(classes)[:200])
    if labels.dtype.kind not in "iu":
        if odd := sorted({str(label) for label in labels.ravel().tolist() if label not in (None, "")} - {*classes}):
            raise unknown_name("class", odd[0], classes, where=f"{where}, array 'y'")
        return labels
    if len(labels) and not -1 <= labels.min() <= labels.max() < len(classes):
        expected = f"numbers from 0 to {len(classes) - 1}, one for each of {len(classes)} names; -1 is no label"
        got = f"{labels.min()} to {labels.max()}"
        raise UserError("labels and the names of classes do not fit", where=where, expected=expected, got=got)
    return np.asarray([*classes, None], dtype=object)[labels]


def _named(spec: Any) -> Mapping[str, Any]:
    if not isinstance(spec, Mapping):
        return {"x": spec[0], "y": spec[1]}
    known = [name for names_of in NAMES.values() for name in names_of]
    for name in spec:
        if name not in known:
            raise unknown_name("array", str(name), known, where=MEMORY)
    return spec
