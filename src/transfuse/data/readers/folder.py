"""`photos/CLASS/` or `photos/{train,val,test}/CLASS/` hold image files; without this reader no folder could be used.

Items are named by their path inside the folder. The second form is meant when every folder at the top is
named train, val, test or cal (or valid, validation, dev, …) and holds folders. Hidden files and files that are no
images are passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.data.class_folders import found, placed_items
from transfuse.data.items import Items
from transfuse.data.open import is_path
from transfuse.data.photos import digests, images_in, pixels_of
from transfuse.errors import UserError

TRAITS = {"form": "a folder with one folder a class"}
ORDER = 200


def matches(spec: Any) -> bool:
    """Any path that no other reader wants; hence the last in order."""
    return is_path(spec)


def files(spec: str, root: Path) -> list[Path]:
    """All image files, sorted by their path inside the folder."""
    return [path for _, _, path in found(_folder(spec, root), images_in, "image")]


def index(spec: str, root: Path) -> Items:
    """The item table: labels are folder names. Errors: no class folders, an empty one, images outside, torn images."""
    folder = _folder(spec, root)
    return placed_items(folder, found(folder, images_in, "image"), digests)


def reader(spec: str, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Pixels by row, decoded from the files."""
    folder = _folder(spec, root)
    return pixels_of([folder / item for item in items.ids])


def _folder(spec: str, root: Path) -> Path:
    folder = root / Path(spec).expanduser()
    if not folder.is_dir():
        kind = "not a folder of images" if folder.exists() else "data folder not found"
        raise UserError(
            kind, where=str(folder), hint="files are named csv:FILE or npz:FILE" if folder.exists() else None
        )
    return folder
