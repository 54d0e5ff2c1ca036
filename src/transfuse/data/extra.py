"""Further sets of items beside the data, without which nobody could ask what an arm does where it was not trained.

`data.extra` names them: `ood:NAME` holds items of another kind, whose labels are ignored; `own:SOURCE` holds labelled
items of a source's own task, for what it still knows of it; neither is ever trained on. `pool` (or `pool:NAME`) holds
items that a student hears its teachers about; whatever labels they have are never read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfuse.data.draw import shuffled
from transfuse.data.items import Items
from transfuse.data.open import settings
from transfuse.errors import UserError, unknown_name

KINDS = ("ood", "own", "pool")
REST = "rest"
NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,63}")
TAKEN = 1_000


@dataclass(frozen=True)
class Extra:
    """One further set: its whole name, what is read, and how many items are taken at most (of a pool: all, `rest`)."""

    name: str
    read: Any
    take: int | str = TAKEN

    @property
    def kind(self) -> str:
        return self.name.split(":", 1)[0]

    @property
    def about(self) -> str:
        """What the set is called, or the source it belongs to."""
        return self.name.split(":", 1)[-1]


def extras(given: Any, known: Any = None) -> tuple[Extra, ...]:
    """`{ood:mnist: {read: idx:mnist, take: 500}}` taken apart, sorted by name; a bare spec is read as it is.

    A pool that says nothing of what is read is what is left of the data themselves, `known`. Errors: names of another
    kind, keys that mean nothing here, a number of items below 1.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        expected = "{ood:NAME: {read: ..., take: 1000}}"
        raise UserError("`extra` maps names to data sets", where="data.extra", expected=expected, got=repr(given))
    return tuple(_extra(str(name), given[name], known) for name in sorted(given, key=str))


def pool_names(data: Any) -> list[str]:
    """The pools that a recipe's data entry names."""
    given = data.get("extra") if isinstance(data, Mapping) else None
    return [str(name) for name in given if str(name).split(":", 1)[0] == "pool"] if isinstance(given, Mapping) else []


def _extra(name: str, entry: Any, known: Any) -> Extra:
    where = f"data.extra, '{name}'"
    kind, colon, about = name.partition(":")
    if kind == "pool":
        entry = {"read": known, "take": REST, **_of_pool(entry, where)}
    if kind not in KINDS or not (NAME.fullmatch(about) if colon else kind == "pool"):
        expected = (
            "ood:NAME (items of another kind), own:SOURCE (a source's own task) or pool[:NAME] (unlabelled items)"
        )
        raise UserError("a further set of this name means nothing yet", where=where, expected=expected, got=name)
    take = entry.get("take", TAKEN) if isinstance(entry, Mapping) else TAKEN
    if (type(take) is not int or take < 1) and not (kind == "pool" and take == REST):
        raise UserError("`take` is a number of items", where=where, expected="a whole number ≥ 1", got=repr(take))
    spec = {key: value for key, value in entry.items() if key != "take"} if isinstance(entry, Mapping) else entry
    wanted = settings(spec)
    for key in ("splits", "canvas", "groups", "extra"):
        if getattr(wanted, key) is not None:
            raise unknown_name("key", key, ("read", "take"), where=where)
    return Extra(name, wanted.read, take)


def _of_pool(entry: Any, where: str) -> dict[str, Any]:
    """A pool's keys; `targets: none` says in the recipe what holds anyway."""
    found = {} if entry is None else dict(entry) if isinstance(entry, Mapping) else {"read": entry}
    if found.pop("targets", "none") not in ("none", None):
        raise UserError("labels of a pool are never read", where=where, expected="targets: none")
    return found


def pool_rows(extra: Extra, items: Items, used: set[str]) -> np.ndarray:
    """The rows of a pool, ascending: drawn by their ids from those whose content is not `used` (by digest).

    Rows that a data set declares to be its test, validation or calibration stay out. Errors: an empty pool.
    """
    free = [row for row in range(len(items)) if items.splits[row] in (None, "train") and items.digests[row] not in used]
    if not free:
        raise UserError(
            "this pool is empty", where=f"data.extra, '{extra.name}'",
            expected="items that no part of the data uses", got=f"{len(items)} items, all used or set apart",
        )  # fmt: skip
    kept = shuffled(items, np.array(free, dtype=np.int64), "extra")
    return np.sort(kept if extra.take == REST else kept[: int(extra.take)])


def rows_of(extra: Extra, items: Items, known: Items) -> tuple[np.ndarray, int]:
    """The rows that are taken, in ascending order, and how many were left out since they also stand in the data.

    They are drawn by their ids, from the declared test split where there is one. Only of an `ood:` set are items of the
    data left out: these are not of another kind. Errors: nothing is left.
    """
    candidates = np.flatnonzero([split == "test" for split in items.splits])
    if not len(candidates):
        candidates = np.arange(len(items))
    there = set(known.digests) if extra.kind == "ood" else set()
    kept = np.array([row for row in candidates if items.digests[row] not in there], dtype=np.int64)
    if not len(kept):
        where = f"data.extra, '{extra.name}'"
        raise UserError("all items of this set also stand in the data", where=where, got=f"{len(candidates)} items")
    return np.sort(shuffled(items, kept, "extra")[: int(extra.take)]), len(candidates) - len(kept)
