"""The table of items: without it rows would be known by position, and every part would guess what a row is."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfuse.errors import UserError, unknown_name
from transfuse.jsonio import digest
from transfuse.kinds import kind_of
from transfuse.types import TaskKind

# A class name, the names of labels that hold, the numbers of a regression, or None where there is no label.
Label = Any
SPLITS = ("train", "val", "test", "cal")
ALIASES = {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "testing": "test",
    "calibration": "cal",
}
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
DIGEST_DIGITS = 32


@dataclass(frozen=True)
class Items:
    """A named table of N items; every column has N rows.

    `ids` are unique and stable names; `labels` are class names, or of a multilabel task the names of the labels that
    hold, or of a regression the numbers (None = unlabelled); `groups` say which items belong together, or None;
    `splits` are declared parts (train, val, test, cal) or None; `digests` are hashes of the content, and `besides` of
    what stands beside it in items of several parts; `classes` is the order of classes, labels or targets used
    everywhere. Errors: repeated ids, columns of different length, labels outside `classes`, rows with too few or too
    many numbers.
    """

    ids: tuple[str, ...]
    labels: tuple[Label, ...]
    groups: tuple[str, ...] | None
    splits: tuple[str | None, ...]
    digests: tuple[str, ...]
    classes: tuple[str, ...]
    kind: TaskKind = "multiclass"
    besides: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        columns = [self.labels, self.splits, self.digests]
        columns += [found for found in (self.groups, self.besides) if found is not None]
        if any(len(column) != len(self.ids) for column in columns):
            got = ", ".join(str(len(column)) for column in columns)
            raise UserError("columns of the item table differ in length", expected=str(len(self.ids)), got=got)
        if len(set(self.ids)) != len(self.ids):
            twice = next(item for item, count in Counter(self.ids).items() if count > 1)
            raise UserError("item ids must be unique", got=f"'{twice}' more than once")
        kind_of(self.kind)
        if self.kind == "regression":
            self._check_numbers()
            return
        held = {name for label in self.labels if label is not None for name in _names(label)}
        strange = sorted(held - set(self.classes))
        if strange:
            raise UserError("labels outside the classes", expected=", ".join(self.classes), got=", ".join(strange[:5]))

    def _check_numbers(self) -> None:
        for item, label in zip(self.ids, self.labels, strict=True):
            if label is not None and (len(label) != len(self.classes) or not np.isfinite(np.array(label, float)).all()):
                expected = f"{len(self.classes)} finite numbers: {', '.join(self.classes)}"
                raise UserError("a target is no number", where=f"item '{item}'", expected=expected, got=str(label)[:80])

    def __len__(self) -> int:
        return len(self.ids)

    def targets(self) -> np.ndarray:
        """Class numbers [N], int64, in the order of `classes`; -1 for an unlabelled item.

        Of a multilabel task 0 or 1 for each label [N, C], int64, rows of -1 where unlabelled; of a regression numbers
        [N, T], float64, rows of NaN where unlabelled.
        """
        number = {name: place for place, name in enumerate(self.classes)}
        if self.kind == "multiclass":
            return np.array([-1 if label is None else number[str(label)] for label in self.labels], dtype=np.int64)
        shape = (len(self), len(self.classes))
        if self.kind == "regression":
            rows = [(np.nan,) * shape[1] if label is None else label for label in self.labels]
            return np.array(rows, dtype=np.float64).reshape(shape)
        found = np.zeros(shape, dtype=np.int64)
        for row, label in enumerate(self.labels):
            found[row, [number[str(name)] for name in label or ()]] = 1
        found[~self.labelled()] = -1
        return found

    def labelled(self) -> np.ndarray:
        """Whether an item has a label [N]."""
        return np.array([label is not None for label in self.labels], dtype=bool)

    def take(self, rows: Sequence[int] | np.ndarray) -> Items:
        """The items of these rows, in this order; `classes` stay."""
        places = [int(row) for row in rows]
        return Items(
            ids=tuple(self.ids[row] for row in places),
            labels=tuple(self.labels[row] for row in places),
            groups=None if self.groups is None else tuple(self.groups[row] for row in places),
            splits=tuple(self.splits[row] for row in places),
            digests=tuple(self.digests[row] for row in places),
            classes=self.classes,
            kind=self.kind,
            besides=None if self.besides is None else tuple(self.besides[row] for row in places),
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all columns: equal exactly when the tables are equal."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The columns as lists, for the store; the kind is named where it is not multiclass."""
        named: dict[str, Any] = {} if self.kind == "multiclass" else {"kind": self.kind}
        named |= {} if self.besides is None else {"besides": list(self.besides)}
        return named | {
            "ids": list(self.ids),
            "labels": list(self.labels),
            "groups": None if self.groups is None else list(self.groups),
            "splits": list(self.splits),
            "digests": list(self.digests),
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Items:
        """What `to_json` made, back again."""
        groups = record["groups"]
        return cls(
            ids=tuple(record["ids"]),
            labels=tuple(tuple(label) if isinstance(label, list) else label for label in record["labels"]),
            groups=None if groups is None else tuple(groups),
            splits=tuple(record["splits"]),
            digests=tuple(record["digests"]),
            classes=tuple(record["classes"]),
            kind=record.get("kind", "multiclass"),
            besides=tuple(record["besides"]) if "besides" in record else None,
        )


def _names(label: Any) -> tuple[str, ...]:
    return (label,) if isinstance(label, str) else label


def table(
    ids: Sequence[str],
    labels: Sequence[Label],
    digests: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    splits: Sequence[str | None] | None = None,
    where: str | None = None,
    kind: TaskKind = "multiclass",
    classes: Sequence[str] | None = None,
) -> Items:
    """An item table; split names are checked and their aliases resolved.

    Its classes are the labels that occur, in order, unless they are given: of several label columns, or targets.
    """
    try:
        "\n".join(ids).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            "an item's name is no valid text", where=where, got=repr(error.object[error.start - 20 :][:40])
        ) from error
    declared = {name: split_name(name, where) for name in dict.fromkeys(splits or ()) if name is not None}
    return Items(
        ids=tuple(ids),
        labels=tuple(labels),
        groups=None if groups is None else tuple(groups),
        splits=(None,) * len(ids) if splits is None else tuple(None if s is None else declared[s] for s in splits),
        digests=tuple(digests),
        classes=tuple(classes) if classes is not None else _occurring(labels),
        kind=kind,
    )


def _occurring(labels: Sequence[Label]) -> tuple[str, ...]:
    found = {str(name) for label in labels if label is not None for name in _names(label)}
    return tuple(sorted(found, key=class_order))


def class_order(name: str) -> tuple[int, float, str]:
    """A sorting key: numeric names by value and first, then the others by text."""
    return (0, float(name), name) if NUMBER.fullmatch(name) else (1, 0.0, name)


def split_name(name: str, where: str | None = None) -> str:
    """`train`, `val`, `test` or `cal` for a declared split's name; an unknown one is an error."""
    known = ALIASES.get(name.lower(), name.lower())
    if known not in SPLITS:
        raise unknown_name("split", name, SPLITS, where=where)
    return known


def content_digest(content: bytes) -> str:
    """The first 32 hexadecimal digits of SHA-256 of an item's bytes: enough to tell any two items apart."""
    return hashlib.sha256(content).hexdigest()[:DIGEST_DIGITS]


def array_digest(array: np.ndarray) -> str:
    """`content_digest` of an array's type, shape and values, `[H, W]` or `[H, W, 3]`."""
    return content_digest(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
