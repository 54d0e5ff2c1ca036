"""Folders that name classes, and perhaps parts: without it each reader of folders would tell them apart anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from transfuse.data.items import ALIASES, SPLITS, Items, table
from transfuse.errors import UserError, many_problems

Inside = Callable[..., list[Path]]
# (split, class, path) of a file.
Placed = tuple[str | None, str | None, Path]


def files_in(folder: Path, suffixes: Collection[str], *, deep: bool) -> list[Path]:
    """The files of a folder with these endings, and of those below it where `deep`; hidden ones are passed over."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        shown = (name for name in sorted(names) if not name.startswith("."))
        found += [Path(place, name) for name in shown if Path(name).suffix.lower() in suffixes]
    return found


def placed_items(folder: Path, placed: Sequence[Placed], digests: Callable[[list[Path], str], list[str]]) -> Items:
    """The item table of these files: named by their path inside the folder, with their content's hashes."""
    paths = [path for _, _, path in placed]
    return table(
        [path.relative_to(folder).as_posix() for path in paths],
        [label for _, label, _ in placed],
        digests(paths, str(folder)),
        splits=[split for split, _, _ in placed],
        where=str(folder),
    )


def found(folder: Path, inside: Inside, what: str) -> list[tuple[str | None, str, Path]]:
    """(split, class, path) of every file, sorted by path; `inside(folder, deep=...)` lists the files of a folder that
    are meant, `what` is one of them in a word.

    Raises UserError where there are no class folders, an empty one, files outside, or splits beside classes.
    """
    _refuse_stray(folder, inside, what)
    tops = _subfolders(folder)
    if not tops:
        form = what.upper()
        raise UserError(
            "no class folders", where=str(folder), expected=f"{folder}/CLASS/{form}, or {folder}/train/CLASS/{form}"
        )
    parts = [top for top in tops if ALIASES.get(top.name.lower(), top.name.lower()) in SPLITS]
    if len(parts) == len(tops) and any(_subfolders(part) for part in parts):
        each = [(part.name, classes) for part in parts for classes in _classes(part, inside, what)]
        return sorted((name, label, path) for name, (label, path) in each)
    nested = [part.name for part in parts if _subfolders(part) and not inside(part, deep=False)]
    if nested:
        names = ", ".join(top.name for top in tops if top not in parts)
        raise UserError(
            "split folders and class folders are mixed", where=str(folder), got=f"{', '.join(nested)} beside {names}"
        )
    return sorted((None, label, path) for label, path in _classes(folder, inside, what))


def _classes(folder: Path, inside: Inside, what: str) -> list[tuple[str, Path]]:
    _refuse_stray(folder, inside, what)
    named = {top.name: inside(top, deep=True) for top in _subfolders(folder)}
    if not named:
        raise UserError("no class folders", where=str(folder), expected=f"{folder}/CLASS/{what.upper()}")
    empty = [f"{name}: no {what} in it" for name, paths in named.items() if not paths]
    if empty:
        raise many_problems("empty class folders", empty, where=str(folder), hint=f"add {what}s, or remove the folder")
    return [(name, path) for name, paths in named.items() for path in paths]


def _refuse_stray(folder: Path, inside: Inside, what: str) -> None:
    if stray := inside(folder, deep=False):
        got = f"{stray[0].name}" + (f" and {len(stray) - 1} more" if len(stray) > 1 else "")
        raise UserError(
            f"{what}s stand outside the class folders", where=str(folder), got=got, hint="move them into one"
        )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
