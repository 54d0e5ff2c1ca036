"""`texts:DIR` is a folder of text files, one folder a class; without it only tables could say what a text is about.

`DIR/CLASS/` or `DIR/{train,val,test}/CLASS/` hold .txt, .text, .md or .eml files in UTF-8. Where all stand right inside
DIR they are read without labels. Items are named by their path inside the folder; other files are passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.data.class_folders import Placed, found, placed_items
from transfuse.data.documents import SUFFIXES, bytes_of, digests, texts_in
from transfuse.data.items import Items
from transfuse.errors import UserError

TRAITS = {"form": "texts:DIR", "field": "text"}
SCHEME = "texts:"


def matches(spec: Any) -> bool:
    """Strings that begin with `texts:`."""
    return isinstance(spec, str) and spec.startswith(SCHEME)


def files(spec: str, root: Path) -> list[Path]:
    """All text files, sorted by their path inside the folder."""
    return [path for _, _, path in _found(_folder(spec, root))]


def index(spec: str, root: Path) -> Items:
    """The item table: labels are folder names. Errors: no text, an empty class folder, texts outside, no UTF-8."""
    folder = _folder(spec, root)
    return placed_items(folder, _found(folder), digests)


def reader(spec: str, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Bytes by row, read from the files."""
    folder = _folder(spec, root)
    return bytes_of([folder / item for item in items.ids])


def _found(folder: Path) -> list[Placed]:
    """(split, class, path) of every text."""
    alone = texts_in(folder, deep=False)
    deep = alone if alone else texts_in(folder, deep=True)
    if not deep:
        raise UserError("there is no text here", where=str(folder), expected=f"files ending in {', '.join(SUFFIXES)}")
    if alone and len(texts_in(folder, deep=True)) == len(alone):
        return [(None, None, path) for path in sorted(alone)]
    return [*found(folder, texts_in, "text")]


def _folder(spec: str, root: Path) -> Path:
    folder = root / Path(spec.removeprefix(SCHEME)).expanduser()
    if not folder.is_dir():
        raise UserError("there is no such folder of texts", where=str(folder))
    return folder
