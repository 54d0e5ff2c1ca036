"""The one door to data sets: without it every caller would have to know which reader reads what.

What stands under `data:` in a recipe, or a Python object, goes in; a checked item table and raw pixels by row come out,
or the bytes of texts.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from transfuse import texts
from transfuse.data import near_duplicates
from transfuse.data.items import Items
from transfuse.errors import UserError, unknown_name
from transfuse.fields import IMAGE, TEXT, main
from transfuse.jsonio import digest
from transfuse.kinds import kind_of
from transfuse.registry import Entry, kinds_of, shelf
from transfuse.types import TaskKind

SHELF = "data/readers"
SCHEME = re.compile(r"([A-Za-z_]\w+):(?!\\)")
WRAPPER_KEYS = ("read", "splits", "canvas", "groups", "extra")
NEAR_DUPLICATES = "near_duplicates"
# What a reader's TRAITS call the parts that its items may have, where these may be several.
PARTS = "parts"
CANVAS_LIMITS = (1, 4096)


class Reader(Protocol):
    """What each module in `data/readers` offers; `root` is the folder that relative paths start from.

    What its items are (images where it does not say) stands in `TRAITS["field"]`; a reader of several has a function
    `items_are(spec, root)`. One whose items may have several parts names them in `TRAITS["parts"]`, and has functions
    `further(spec, root)` and `columns(spec, root)`. One that declares `TRAITS["kinds"]` (names of kinds of task, with
    commas) takes the kind as a third argument of `index`; any other reads classes only and is not asked for more.
    """

    def matches(self, spec: Any) -> bool:
        """Whether this reader is meant by the spec; looks at no file."""
        ...

    def files(self, spec: Any, root: Path) -> list[Path]:
        """The files that the data set rests on; none for data in memory."""
        ...

    def index(self, spec: Any, root: Path, *kind: TaskKind) -> Items:
        """Read and check everything, hash the contents."""
        ...

    def reader(self, spec: Any, root: Path, items: Items) -> Callable[[int], np.ndarray]:
        """Raw pixels by row of `items`."""
        ...


@dataclass(frozen=True)
class Settings:
    """A `data:` entry taken apart: what is read, how it is split, its canvas' side in pixels, what groups are, further
    sets of items.

    `groups` is `near_duplicates`, or None for the groups that the data set itself declares. `kind` is what the labels
    are read as.
    """

    read: Any
    splits: Mapping[str, int | str] | None = None
    canvas: int | None = None
    groups: str | None = None
    extra: Mapping[str, Any] | None = None
    kind: TaskKind = "multiclass"


@dataclass(frozen=True)
class Data:
    """An item table and its pixels: `raw(row)` is `[H, W]` or `[H, W, 3]`, uint8 or float32 in [0, 1].

    Of texts `raw(row)` are the bytes `[n]` uint8, in UTF-8. Of items of several parts `raw` is the first, and `further`
    the others by name, as bytes.
    """

    items: Items
    raw: Callable[[int], np.ndarray]
    field: str = IMAGE
    further: Mapping[str, Callable[[int], np.ndarray]] = dataclasses.field(default_factory=dict)
    lengths: dict[str, int] = dataclasses.field(default_factory=dict)

    def length(self, part: str) -> int:
        """How many bytes of a further part are kept: of cells as many as the longest row has, looked at once."""
        if part == TEXT:
            return texts.BESIDE
        if part not in self.lengths:
            read = self.further[part]
            self.lengths[part] = max([1, *(len(read(row)) for row in range(len(self.items)))])
        return self.lengths[part]


def settings(spec: Any) -> Settings:
    """`{read: SPEC, splits: {...}, canvas: 96, groups: near_duplicates}` taken apart; any other spec is read as it is.

    All but `read` may also stand beside `csv:`. Errors: unknown keys (nearest offered), a canvas out of range.
    """
    if isinstance(spec, Settings):
        return spec
    if isinstance(spec, Path):
        return Settings(str(spec))
    if isinstance(spec, str) and not spec.strip():
        # As an unset variable gives: it would be the current folder.
        raise UserError("no data are named", where="data", got=repr(spec), hint="a folder or a file; . for this folder")
    if not isinstance(spec, Mapping):
        return Settings(spec)
    rest = {key: value for key, value in spec.items() if key == "read" or key not in WRAPPER_KEYS}
    splits, canvas, groups, extra = spec.get("splits"), spec.get("canvas"), spec.get("groups"), spec.get("extra")
    if groups not in (None, NEAR_DUPLICATES):
        raise unknown_name("kind of groups", str(groups), (NEAR_DUPLICATES,), where="data.groups")
    low, high = CANVAS_LIMITS
    if canvas is not None and (type(canvas) is not int or not low <= canvas <= high):
        raise UserError("canvas must be a side in pixels", where="data", expected=f"{low} to {high}", got=repr(canvas))
    if splits is not None and not isinstance(splits, Mapping):
        raise UserError(
            "splits must name parts and sizes", where="data", expected="{train: 2000, test: all}", got=repr(splits)
        )
    if "read" not in rest:
        return Settings(rest, splits, canvas, groups, extra)
    for key in rest:
        if key != "read":
            raise unknown_name("key", str(key), WRAPPER_KEYS, where="data")
    inner = settings(rest["read"])
    return Settings(
        inner.read,
        splits or inner.splits,
        canvas or inner.canvas,
        groups or inner.groups,
        extra or inner.extra,
        inner.kind,
    )


def is_path(spec: Any) -> bool:
    """Whether a spec is a plain path: text that names no kind of data in front of a colon."""
    return isinstance(spec, str) and SCHEME.match(spec) is None


def field_of(spec: Any, root: Path) -> str:
    """What the items of a data set are: `image` or `text`."""
    read = settings(spec).read
    entry, reader = _reader(read)
    asked = getattr(reader, "items_are", None)
    return str(asked(read, root)) if callable(asked) else str(entry.traits.get("field", IMAGE))


def reads(spec: Any, kind: str) -> bool:
    """Whether the reader of a spec has labels for this kind of task."""
    return kind in kinds_of(_reader(settings(spec).read)[0])


def read_as(spec: Any, kind: str) -> Settings:
    """`settings` whose labels are read for a task of this kind."""
    return replace(settings(spec), kind=kind_of(kind).name)


def signature(spec: Any, root: Path) -> str:
    """A cheap hash that changes when the data set may have: names, sizes and times of its files, and the reader's code.

    No content is read, except for data in memory, which is hashed whole.
    """
    wanted = settings(spec)
    if wanted.groups:
        inner = signature(Settings(wanted.read, kind=wanted.kind), root)
        return digest([inner, wanted.groups, near_duplicates.REVISION])
    named = [] if wanted.kind == "multiclass" else [wanted.kind]
    entry, reader = _reader(wanted.read)
    files = reader.files(wanted.read, root)
    if not files:
        return digest([entry.digest, _indexed(wanted, root).fingerprint, *named])
    try:
        facts = [(os.path.relpath(path, root), (status := path.stat()).st_size, status.st_mtime_ns) for path in files]
    except OSError as error:
        raise UserError("a file of the data set cannot be found", where=str(error.filename)) from error
    return digest([entry.digest, wanted.read, facts, *named])


def index(spec: Any, root: Path) -> Items:
    """The checked item table of a data set; reads everything and hashes every item's content.

    With `groups: near_duplicates` every image is decoded, and clusters of those that look almost the same are groups.
    Errors: a kind of task that the reader has no labels for.
    """
    wanted = settings(spec)
    items = _indexed(wanted, root)
    if not wanted.groups:
        return items
    raw = _reader(wanted.read)[1].reader(wanted.read, root, items)
    return near_duplicates.clustered(items, raw, main(field_of(wanted, root)))


def _indexed(wanted: Settings, root: Path) -> Items:
    """The reader's table, with its labels read for the kind of task."""
    entry, reader = _reader(wanted.read)
    if wanted.kind == "multiclass":
        return reader.index(wanted.read, root)
    if wanted.kind not in kinds_of(entry):
        able = [str(each.traits["form"]) for each in shelf(SHELF).values() if wanted.kind in kinds_of(each)]
        raise UserError(
            f"{entry.traits.get('form', entry.name)} has no labels for a {wanted.kind} task",
            where="data",
            expected="one of " + "; ".join(able),
        )
    return reader.index(wanted.read, root, wanted.kind)


def open_data(spec: Any, root: Path, items: Items | None = None) -> Data:
    """Items and pixels of a data set; `items` from an earlier `index` saves making them again."""
    wanted = settings(spec)
    known = index(wanted, root) if items is None else items
    entry, reader = _reader(wanted.read)
    told: Any = reader
    beside = told.further(wanted.read, root) if PARTS in entry.traits else {}
    return Data(known, reader.reader(wanted.read, root, known), field_of(wanted, root), beside)


def columns(spec: Any, root: Path) -> tuple[dict[str, Any], list[str]]:
    """What the columns beside the items hold ({name: "number" or its categories}), and sentences on them."""
    wanted = settings(spec).read
    entry, found = _reader(wanted)
    reader: Any = found
    return reader.columns(wanted, root) if PARTS in entry.traits else ({}, [])


def with_columns(spec: Any, columns: Any = "all") -> Any:
    """The same data set with a table's columns beside its items, where none are named yet and its reader knows of
    columns; else as it is."""
    wanted = settings(spec)
    if PARTS not in _reader(wanted.read)[0].traits:
        return spec
    table = dict(wanted.read) if isinstance(wanted.read, Mapping) else {"csv": wanted.read.removeprefix("csv:")}
    if "columns" in table:
        return spec
    kept = {key: value for key, value in spec.items() if key in WRAPPER_KEYS} if isinstance(spec, Mapping) else {}
    return {**kept, "read": {**table, "columns": columns}}


def unlabelled(spec: Any, root: Path, names: Mapping[str, Any]) -> Any:
    """The same data set without need of labels, its table's columns by the names that a recipe gave them; else as it
    is."""
    read = settings(spec).read
    asked = getattr(_reader(read)[1], "unlabelled", None)
    return asked(read, root, names) if callable(asked) else spec


def with_parts(spec: Any, parts: Sequence[str], names: Sequence[str]) -> Any:
    """A data set whose items have these parts, where its reader can be asked for several: columns by their names, and
    images and texts as their columns are usually called; else as it is."""
    if len(parts) < 2 or PARTS not in _reader(settings(spec).read)[0].traits:
        return spec
    made = settings(with_columns(spec, list(names)) if names else spec).read
    table = dict(made) if isinstance(made, Mapping) else {"csv": made.removeprefix("csv:")}
    usual = {"image": "path", "text": "text"}
    return {**{usual[part]: usual[part] for part in parts if part in usual}, **table}


def _reader(read: Any) -> tuple[Entry, Reader]:
    entries = sorted(shelf(SHELF).values(), key=lambda entry: (entry.order, entry.name))
    for entry in entries:
        reader = cast(Reader, entry.load())
        if reader.matches(read):
            return entry, reader
    forms = [str(entry.traits["form"]) for entry in entries if "form" in entry.traits]
    if isinstance(read, str) and (scheme := SCHEME.match(read)):
        raise unknown_name("kind of data", scheme[1], [form.split(":")[0] for form in forms if ":" in form], where=read)
    if isinstance(read, Mapping):
        keys = (*WRAPPER_KEYS, "csv", "path", "text", "label", "group", "split", "separator", "columns")
        for key in read:
            if key not in keys:
                raise unknown_name("key", str(key), keys, where="data")
    got = repr(read) if isinstance(read, str | Mapping) else type(read).__name__
    raise UserError("data of a kind that no reader knows", expected="one of " + "; ".join(forms), got=got)
