"""Where runs lie; without it `transfuse runs` would only know folders that somebody names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from transfuse.doors.study import NOT_A_RECORD, Study
from transfuse.errors import UserError
from transfuse.folder import Folder
from transfuse.report.overview import table
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
    try:
        is_run = Folder(folder).evidence.is_file() or Folder(folder).journal.is_file()
        inner = [] if is_run or not deep else sorted(folder.iterdir())
    except OSError:
        # It may be one: why it cannot be looked into is told where it is read.
        is_run, inner = True, []
    if is_run:
        yield folder
    for each in inner:
        if each.is_dir() and not each.is_symlink() and each.name not in PASSED_OVER and not each.name.startswith("."):
            yield from _folders(each, deep - 1)


def _read(place: Path) -> View | str:
    try:
        if not Folder(place).evidence.is_file() and Folder(place).journal.is_file():
            return "not finished; run its recipe again to go on"
        study = Study.of_folder(place)
        view = View(study.record, study.measurements)
        # What its line in the list would stumble over must not take the other lines along.
        table({place.name: view})
    except UserError as error:
        return f"cannot be read: {error.what}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except NOT_A_RECORD as error:
        return f"cannot be read: its evidence does not hold what a run writes ({type(error).__name__}: {error})"[:200]
    return view
