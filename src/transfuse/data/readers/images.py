"""`images:DIR` is a folder of images without labels; without this reader only photos sorted by hand could be answered.

Every image file below the folder is an item, named by its path inside it; hidden files and files that are no images
are passed over. Folders mean nothing here: a folder of class folders is read unlabelled too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.data.items import Items, table
from transfuse.data.photos import digests, images_in, pixels_of
from transfuse.errors import UserError

TRAITS = {"form": "images:DIR"}
SCHEME = "images:"


def matches(spec: Any) -> bool:
    """Strings that begin with `images:`."""
    return isinstance(spec, str) and spec.startswith(SCHEME)


def files(spec: str, root: Path) -> list[Path]:
    """All image files, sorted by their path inside the folder. Errors: no folder, no image in it."""
    folder = _folder(spec, root)
    found = sorted(images_in(folder, deep=True))
    if not found:
        raise UserError("there is no image here", where=str(folder))
    return found


def index(spec: str, root: Path) -> Items:
    """The item table: no labels. Errors: torn images."""
    folder, paths = _folder(spec, root), files(spec, root)
    names = [path.relative_to(folder).as_posix() for path in paths]
    return table(names, [None] * len(paths), digests(paths, str(folder)), where=str(folder))


def reader(spec: str, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Pixels by row, decoded from the files."""
    folder = _folder(spec, root)
    return pixels_of([folder / item for item in items.ids])


def _folder(spec: str, root: Path) -> Path:
    folder = root / Path(spec.removeprefix(SCHEME)).expanduser()
    if not folder.is_dir():
        raise UserError("there is no such folder of images", where=str(folder))
    return folder
