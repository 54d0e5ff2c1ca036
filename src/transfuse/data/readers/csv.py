"""`csv:FILE` is a table of images or texts and labels; without it only folders could say what an item is.

Columns are called path, text, label, group and split, or `{csv: FILE, path: COL, label: COL, group: COL, split: COL}`
says otherwise; only label must be there (`label: null` says that there is none), and an empty label is none. Paths are
relative to the CSV and are the items' names. Without a path column the column `text` holds the texts themselves; items
are then `00000`, `00001`, … Where both are named an item is an image with a text. `columns: all`, or some by name,
stand beside either.
Where a set is only to be answered for (`file_digests.unchecked`), a row without a path and an image that stands in
several rows are items as well, called by the number of their row.
For a multilabel task `label: [COL, COL, …]` names columns of 0 and 1, or one column holds names such as `cat;dog`
(`separator: ";"`; a lone separator is an item of no label). For a regression `label` names one column of numbers, or
several. A row whose label cells are all empty is unlabelled.
With neither, all other columns are the grey values of square images, at least 4 x 4: whole numbers 0 to 255,
or numbers in [0, 1]; items are then `00000`, `00001`, …
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from transfuse import cells, texts
from transfuse.data import columns as beside
from transfuse.data import labels as kinds_of_labels
from transfuse.data.file_digests import checking
from transfuse.data.items import Items, Label, array_digest, content_digest, table
from transfuse.data.open import is_path
from transfuse.data.photos import digests, pixels_of
from transfuse.errors import UserError, unknown_name
from transfuse.fields import COLUMNS, IMAGE, TEXT, joined
from transfuse.files.sheets import read_sheet
from transfuse.types import TaskKind

TRAITS = {"form": "csv:FILE", "kinds": "multiclass, multilabel, regression", "parts": "image, text, columns"}
ROLES = ("path", "text", "label", "group", "split")
KEYS = ("csv", *ROLES, "separator", "columns")
SMALLEST_SIDE = 4
DARKEST_FULL_SCALE = 64


@dataclass(frozen=True)
class Sheet:
    """A CSV taken apart: the file, the header, the column of each role that is present, and the rows as text.

    `labels` are the label columns where several are named; `separator` parts names inside one column.
    """

    path: Path
    header: list[str]
    roles: dict[str, str]
    rows: list[list[str]]
    labels: tuple[str, ...] = ()
    separator: str = kinds_of_labels.SEPARATOR
    asked: Any = None

    @property
    def columns(self) -> beside.Columns | None:
        """The columns beside the items, where any are asked for."""
        if self.asked is None:
            return None
        taken = {*self.roles.values(), *self.labels}
        others = [name for name in self.header if name not in taken]
        names, stated = beside.asked(self.asked, others, self.header, str(self.path))
        return beside.Columns({name: self.named(name) for name in names}, stated, self.asked == beside.ALL)

    def column(self, role: str) -> list[str]:
        """The texts of a role's column, blanks at the ends removed."""
        return self.named(self.roles[role])

    def named(self, name: str) -> list[str]:
        """The texts of a column, blanks at the ends removed."""
        place = self.header.index(name)
        return [row[place].strip() for row in self.rows]


def matches(spec: Any) -> bool:
    """Strings that begin with `csv:` or end in `.csv`, and mappings with the key `csv`."""
    if isinstance(spec, Mapping):
        return "csv" in spec
    return isinstance(spec, str) and (spec.startswith("csv:") or (is_path(spec) and spec.lower().endswith(".csv")))


def files(spec: Any, root: Path) -> list[Path]:
    """The CSV, and the images it names."""
    sheet = _sheet(spec, root)
    return [sheet.path, *(_images(sheet) if "path" in sheet.roles else [])]


def items_are(spec: Any, root: Path) -> str:
    """What the rows are: texts, or images by their paths or pixels; with texts beside these, or columns."""
    sheet = _sheet(spec, root)
    there = [TEXT] if "text" in sheet.roles else []
    there += [IMAGE] if "path" in sheet.roles or not there else []
    return joined([*there, *([COLUMNS] if sheet.asked is not None else [])])


def further(spec: Any, root: Path) -> dict[str, Callable[[int], np.ndarray]]:
    """What stands beside the main part of each row, by field: bytes of texts, or of cells."""
    return {field: lambda row, raws=raws: raws[row] for field, raws in _further(_sheet(spec, root)).items()}


def unlabelled(spec: Any, root: Path, names: Mapping[str, Any]) -> dict[str, Any]:
    """The table as one to be answered for: its columns by the names that a recipe gave to the roles, where they are
    here, and labels only where there are any."""
    given = _asked(spec)
    header, _ = read_sheet(root / Path(str(given["csv"])).expanduser())
    for role in (role for role in ROLES if role in names and role not in given):
        named = names[role]
        there = [name for name in named if name in header] if isinstance(named, list) else named
        # A column of items that is here under no name is asked for by the recipe's, which the error then tells.
        if (isinstance(there, list) and there) or there in header or (role in ("path", "text") and role not in header):
            given[role] = there
    return given if "label" in {*given, *header} else {**given, "label": None}


def _asked(spec: Any) -> dict[str, Any]:
    return dict(spec) if isinstance(spec, Mapping) else {"csv": spec.removeprefix("csv:")}


def columns(spec: Any, root: Path) -> tuple[dict[str, Any], list[str]]:
    """What the columns beside the items hold, and sentences on them; nothing where there are none."""
    sheet = _sheet(spec, root)
    return ({}, []) if sheet.columns is None else sheet.columns.schema(str(sheet.path))


def _further(sheet: Sheet) -> dict[str, list[np.ndarray]]:
    found = {TEXT: [texts.content(text) for text in sheet.column("text")]} if {"path", "text"} <= {*sheet.roles} else {}
    if sheet.columns is not None:
        found[COLUMNS] = [cells.content(row) for row in sheet.columns.rows()]
    return found


def index(spec: Any, root: Path, kind: TaskKind = "multiclass") -> Items:
    """The item table. Errors: no such file or column, ragged rows, an image twice, torn images, odd pixels, labels that
    are none of their kind."""
    sheet = _sheet(spec, root)
    where = str(sheet.path)
    if "path" in sheet.roles:
        ids, hashes = _names(sheet.column("path")), digests(_images(sheet), where)
    elif "text" in sheet.roles:
        hashes = [content_digest(text.encode(errors="replace")) for text in sheet.column("text")]
        ids = [f"{row:05d}" for row in range(len(hashes))]
    else:
        hashes = [array_digest(image) for image in _pixels(sheet)]
        ids = [f"{row:05d}" for row in range(len(hashes))]
    groups = sheet.column("group") if "group" in sheet.roles and checking() else None
    if groups is not None and "" in groups:
        raise UserError("every row needs a group", where=where, got=f"none in data row {groups.index('') + 1}")
    labels, classes = _labels(sheet, kind)
    parted = "split" in sheet.roles and checking()
    splits = [split or None for split in sheet.column("split")] if parted else None
    more = [b"\0".join(raw.tobytes() for raw in row) for row in zip(*_further(sheet).values(), strict=True)]
    made = table(ids, labels, hashes, groups=groups, splits=splits, where=where, kind=kind, classes=classes)
    return replace(made, besides=tuple(content_digest(row) for row in more) or None)


def _labels(sheet: Sheet, kind: TaskKind) -> tuple[list[Label], Sequence[str] | None]:
    """One label an item, and the order of labels or targets where columns give it."""
    if not checking() or (not sheet.labels and "label" not in sheet.roles):
        return [None] * len(sheet.rows), None
    where, columns = str(sheet.path), sheet.labels or (sheet.roles["label"],)
    if kind == "multiclass":
        if sheet.labels:
            hint = "task: {kind: multilabel} for columns of 0 and 1, {kind: regression} for numbers"
            raise UserError("several label columns are no classes", where=where, got=", ".join(columns), hint=hint)
        return [label or None for label in sheet.column("label")], None
    if kind == "multilabel" and not sheet.labels:
        return [*kinds_of_labels.tags(sheet.column("label"), where, sheet.separator)], None
    cells = np.array([sheet.named(name) for name in columns], dtype=object).T
    read = kinds_of_labels.numbers if kind == "regression" else kinds_of_labels.flags
    return [*read(cells, columns, where)], columns


def reader(spec: Any, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Pixels by row: decoded from the named files, or the pixel columns."""
    sheet = _sheet(spec, root)
    if "path" in sheet.roles:
        return _pictures(sheet, items.ids if checking() else sheet.column("path"))
    raws = [texts.content(text) for text in sheet.column("text")] if "text" in sheet.roles else _pixels(sheet)
    if len(raws) != len(items):
        raise UserError("the CSV has changed since it was indexed", where=str(sheet.path))
    return lambda row: raws[row]


def _sheet(spec: Any, root: Path) -> Sheet:
    given = _asked(spec)
    for key in given:
        if key not in KEYS:
            raise unknown_name("key", str(key), KEYS, where="data")
    path = root / Path(str(given.pop("csv"))).expanduser()
    header, rows = read_sheet(path)
    roles: dict[str, str] = {}
    asked = given.get("label")
    labels = tuple(str(name) for name in asked) if isinstance(asked, list | tuple) else ()
    for name in labels:
        if name not in header or labels.count(name) > 1:
            raise unknown_name("column", name, [each for each in header if each not in labels], where=str(path))
    for role in ROLES:
        if role == "label" and (labels or (asked is None and "label" in given)):
            continue
        name = str(given.get(role, role))
        if name in header:
            roles[role] = name
        elif role in given or role == "label":
            raise unknown_name("column", name, header, where=str(path))
    if "path" in roles and "text" in roles and not ("path" in given and "text" in given):
        # A caption beside images, or paths beside texts, is one more column unless it is named.
        del roles["path" if "text" in given else "text"]
    if "columns" in given and not {"path", "text"} & {*roles}:
        hint = "name the column of image paths, or of texts: {csv: FILE, path: COLUMN, columns: [COLUMN, …]}"
        raise UserError("columns stand beside images or texts, and there are none", where=str(path), hint=hint)
    parted = str(given.get("separator", kinds_of_labels.SEPARATOR))
    return Sheet(path, header, roles, rows, labels, parted, given.get("columns"))


def _names(paths: Sequence[str]) -> list[str]:
    """The items' names: their paths. Where nothing is checked, the number of a row stands for a path that is not there
    and behind one that stood above, so that rows keep their order and none is lost."""
    if checking():
        return list(paths)
    seen: set[str] = set()
    found: list[str] = []
    for number, path in enumerate(paths, 1):
        row = f"data row {number}"
        found.append(row if not path else f"{path} ({row})" if path in seen else path)
        seen.add(path)
    return found


def _pictures(sheet: Sheet, names: Sequence[str]) -> Callable[[int], np.ndarray]:
    """Pixels by row of the images of these names."""
    read = pixels_of([sheet.path.parent / name for name in names])

    def raw(row: int) -> np.ndarray:
        if not names[row]:
            raise UserError("the row names no image", where=str(sheet.path))
        return read(row)

    return raw


def _images(sheet: Sheet) -> list[Path]:
    names = sheet.column("path")
    if "" in names and checking():
        raise UserError(
            "every row needs an image path", where=str(sheet.path), got=f"none in data row {names.index('') + 1}"
        )
    return [sheet.path.parent / name for name in names]


def _pixels(sheet: Sheet) -> np.ndarray:
    """The pixel columns as `[N, S, S]`, uint8 or float32 in [0, 1]."""
    where = str(sheet.path)
    taken = {*sheet.roles.values(), *sheet.labels}
    places = [place for place, name in enumerate(sheet.header) if name not in taken]
    side = math.isqrt(len(places))
    if side * side != len(places) or side < SMALLEST_SIDE:
        raise UserError(
            "CSV has no path column, and its other columns are no square images",
            where=where,
            expected=f"a column 'path' or 'text', or {SMALLEST_SIDE}² or more grey values, a square number of columns",
            got=f"{len(places)} other columns",
            hint="name the column of image paths, or of texts: {csv: FILE, path: COLUMN, label: COLUMN}",
        )
    values = np.empty((len(sheet.rows), len(places)), dtype=np.float64)
    for number, row in enumerate(sheet.rows):
        try:
            values[number] = [float(row[place]) for place in places]
        except ValueError as error:
            raise UserError(
                "a pixel column holds no number", where=f"{where}, data row {number + 1}", got=str(error)
            ) from error
    return _scaled(values, where).reshape(-1, side, side)


def _scaled(values: np.ndarray, where: str) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return values.astype(np.float32)
    whole = bool(np.all(values == np.round(values)))
    if low >= 0 and high <= 255 and whole and high >= DARKEST_FULL_SCALE:
        return values.astype(np.uint8)
    raise UserError(
        "the scale of the pixel columns cannot be known",
        where=where,
        expected=f"numbers in [0, 1], or whole numbers 0 to 255 that reach {DARKEST_FULL_SCALE} somewhere",
        got=f"{low:g} to {high:g}" + ("" if whole else ", not whole"),
    )
