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

from transfuse.data.items import ALIASES, SPLITS, Items, table
from transfuse.data.open import is_path
from transfuse.data.photos import digests, images_in, pixels_of
from transfuse.errors import UserError, many_problems

TRAITS = {"form": "a folder with one folder a class"}
ORDER = 200


def matches(spec: Any) -> bool:
    """Any path that no other reader wants; hence the last in order."""
    return is_path(spec)


def files(spec: str, root: Path) -> list[Path]:
    """All image files, sorted by their path inside the folder."""
    return [path for _, _, path in _found(_folder(spec, root))]


def index(spec: str, root: Path) -> Items:
    """The item table: labels are folder names. Errors: no class folders, an empty one, images outside, torn images."""
    folder = _folder(spec, root)
    found = _found(folder)
    paths = [path for _, _, path in found]
    return table(
        [path.relative_to(folder).as_posix() for path in paths],
        [label for _, label, _ in found],
        digests(paths, str(folder)),
        splits=[split for split, _, _ in found],
        where=str(folder),
    )


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


def _found(folder: Path) -> list[tuple[str | None, str, Path]]:
    """(split, class, path) of every image, sorted by path."""
    _refuse_stray(folder)
    tops = _subfolders(folder)
    if not tops:
        raise UserError(
            "no class folders", where=str(folder), expected=f"{folder}/CLASS/IMAGE, or {folder}/train/CLASS/IMAGE"
        )
    parts = [top for top in tops if ALIASES.get(top.name.lower(), top.name.lower()) in SPLITS]
    if len(parts) == len(tops) and any(_subfolders(part) for part in parts):
        return sorted((part.name, label, path) for part in parts for label, path in _classes(part))
    nested = [part.name for part in parts if _subfolders(part) and not images_in(part, deep=False)]
    if nested:
        names = ", ".join(top.name for top in tops if top not in parts)
        raise UserError(
            "split folders and class folders are mixed", where=str(folder), got=f"{', '.join(nested)} beside {names}"
        )
    return sorted((None, label, path) for label, path in _classes(folder))


def _classes(folder: Path) -> list[tuple[str, Path]]:
    _refuse_stray(folder)
    found = {top.name: images_in(top, deep=True) for top in _subfolders(folder)}
    if not found:
        raise UserError("no class folders", where=str(folder), expected=f"{folder}/CLASS/IMAGE")
    empty = [f"{name}: no image in it" for name, paths in found.items() if not paths]
    if empty:
        raise many_problems("empty class folders", empty, where=str(folder), hint="add images, or remove the folder")
    return [(name, path) for name, paths in found.items() for path in paths]


def _refuse_stray(folder: Path) -> None:
    if stray := images_in(folder, deep=False):
        got = f"{stray[0].name}" + (f" and {len(stray) - 1} more" if len(stray) > 1 else "")
        raise UserError("images stand outside the class folders", where=str(folder), got=got, hint="move them into one")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
