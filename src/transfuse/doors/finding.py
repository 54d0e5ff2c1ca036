"""Where runs lie; without it `transfuse runs` would only know folders that somebody names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from transfuse.doors.study import Study
from transfuse.errors import UserError
from transfuse.folder import Folder
from transfuse.report.view import View

# Old evidence of a folder, and what no run has below it.
PASSED_OVER = ("history", "models", "predictions", "node_modules")
DEEPEST = 4


def runs(folder: Path) -> Mapping[str, View | str]:
    """Every run at or below a folder by its path there, sorted; of one that cannot be read, why. Raises UserError where
    there is no such folder, or no run in it."""
    if not folder.is_dir():
        raise UserError("there is no such folder", where=str(folder), hint="transfuse runs FOLDER; runs lie in runs/")
    found: dict[str, View | str] = {}
    for place in sorted(_folders(folder, DEEPEST)):
        name = str(place.relative_to(folder)) if place != folder else folder.name or str(folder)
        found[name] = _read(place)
    if not found:
        raise UserError("there is no run here", where=str(folder), hint="transfuse run RECIPE writes into runs/")
    return found


def _folders(folder: Path, deep: int) -> Iterator[Path]:
    """Folders of runs; nothing is looked for inside one, and no link is followed."""
    if Folder(folder).evidence.is_file() or Folder(folder).journal.is_file():
        yield folder
        return
    if not deep:
        return
    try:
        inner = sorted(folder.iterdir())
    except OSError:
        return
    for each in inner:
        if each.is_dir() and not each.is_symlink() and each.name not in PASSED_OVER and not each.name.startswith("."):
            yield from _folders(each, deep - 1)


def _read(place: Path) -> View | str:
    if not Folder(place).evidence.is_file():
        return "not finished; run its recipe again to go on"
    try:
        study = Study.of_folder(place)
    except UserError as error:
        return f"cannot be read: {error.what}"
    return View(study.record, study.measurements)
