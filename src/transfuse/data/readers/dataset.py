"""Any `Dataset` of (image, label), torch's or your own; without it data that only code can read would stay outside.

Anything with `__len__` and `__getitem__` will do. Images are Pillow images, arrays or tensors (channels first or last),
uint8 or floats in [0, 1], so before any Normalize. Labels are names, or numbers into `dataset.classes` where it has
them; None and -1 mean unlabelled. Items must not change from one reading to the next. For a multilabel task a label is
a row of 0 and 1, for a regression a number or a row of numbers; `dataset.classes` may name the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transfuse.data.items import Items, Label, array_digest, table
from transfuse.data.labels import of_array
from transfuse.errors import UserError
from transfuse.files.images import from_array, from_pillow
from transfuse.types import TaskKind

TRAITS = {"form": "a Dataset of (image, label)", "kinds": "multiclass, multilabel, regression"}
ORDER = 150
READ_TWICE = 3


def matches(spec: Any) -> bool:
    """Objects with a length and items that are no text, mapping, tuple or array."""
    plain = isinstance(spec, str | bytes | Mapping | tuple) or hasattr(spec, "shape")
    return not plain and hasattr(spec, "__len__") and hasattr(spec, "__getitem__")


def files(spec: Any, root: Path) -> list[Path]:
    """None: the content itself is hashed."""
    return []


def index(spec: Any, root: Path, kind: TaskKind = "multiclass") -> Items:
    """The item table, `00000` on; every item is read once, and a few twice to catch random augmentation."""
    count = len(spec)
    if not count:
        raise UserError("the Dataset is empty", where=_name(spec))
    names = [str(name) for name in getattr(spec, "classes", None) or []]
    given: list[Any] = []
    digests: list[str] = []
    for row in range(count):
        raw, label = _item(spec, row)
        given.append(label)
        digests.append(array_digest(raw))
    labels: Sequence[Label]
    if kind == "multiclass":
        labels, classes = [_label(label, names, f"{_name(spec)}, item {row}") for row, label in enumerate(given)], None
    else:
        labels, classes = of_array(_rows(given, _name(spec)), kind, names or None, _name(spec))
    if any(array_digest(_item(spec, row)[0]) != digests[row] for row in range(min(count, READ_TWICE))):
        hint = "take random augmentation out of the Dataset; training adds its own"
        raise UserError("the Dataset's items change from one reading to the next", where=_name(spec), hint=hint)
    ids = [f"{row:05d}" for row in range(count)]
    return table(ids, labels, digests, where=_name(spec), kind=kind, classes=classes)


def reader(spec: Any, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Pixels by row, read from the Dataset when asked for."""
    if len(spec) != len(items):
        raise UserError("the Dataset has changed since it was indexed", where=_name(spec))
    return lambda row: _item(spec, row)[0]


def _name(spec: Any) -> str:
    return type(spec).__name__


def _item(spec: Any, row: int) -> tuple[np.ndarray, Any]:
    where = f"{_name(spec)}, item {row}"
    pair = spec[row]
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        hint = "(images, labels) in round brackets, for arrays" if isinstance(spec, list) and len(spec) == 2 else None
        got = type(pair).__name__
        raise UserError("a Dataset must give pairs", where=where, expected="(image, label)", got=got, hint=hint)
    image, label = pair
    if isinstance(image, Image.Image):
        return from_pillow(image, where), label
    if not hasattr(image, "shape"):
        got = type(image).__name__
        raise UserError("not an image", where=where, expected="a Pillow image, array or tensor", got=got)
    tensor = image.detach().cpu() if hasattr(image, "detach") else image
    return from_array(np.asarray(tensor), where), label


def _rows(given: list[Any], where: str) -> np.ndarray:
    """Labels that are rows of numbers as one array [N, C]; single numbers are rows of one."""
    rows = [np.atleast_1d(np.asarray(_plain(label))) for label in given]
    if len({row.shape for row in rows}) != 1 or rows[0].ndim != 1:
        shapes = sorted({str(list(row.shape)) for row in rows})
        raise UserError("labels of a Dataset differ in shape", where=where, got=", ".join(shapes[:5]))
    return np.stack(rows)


def _plain(label: Any) -> Any:
    return label.detach().cpu() if hasattr(label, "detach") else label


def _label(label: Any, names: list[str], where: str) -> str | None:
    value = label.item() if hasattr(label, "item") and np.ndim(label) == 0 else label
    if value is None or value == -1 or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError("a label must be a name or a whole number", where=where, got=repr(value)[:80])
    if names and not 0 <= value < len(names):
        raise UserError(
            "a label lies outside the Dataset's classes", where=where, expected=f"0 to {len(names) - 1}", got=str(value)
        )
    return names[value] if names else str(value)
