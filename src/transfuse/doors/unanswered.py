"""The items that a shipped model is to answer for; without it one torn photo would end the answers for all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.data.familiar import looks
from transfuse.errors import UserError, many_problems
from transfuse.fields import IMAGE, TEXT, parts

if TYPE_CHECKING:
    from transfuse.data.open import Data
    from transfuse.types import TaskKind

BATCH = 32

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Reads:
    """What a model reads: the kind of its labels, the field, its columns by name, and how the recipe's table called its
    own: `{"path": "file", "label": "species"}`."""

    kind: TaskKind = "multiclass"
    field: str = IMAGE
    columns: Sequence[str] = ()
    table: Any = None


@dataclass(frozen=True)
class Asked:
    """Answers [n, C] float64 of the items that could be read, what their images look like [n, ...] (None: of no images)
    and {item: why} of those that could not."""

    items: tuple[str, ...]
    answers: np.ndarray
    looks: np.ndarray | None
    unread: Mapping[str, str]


def opened_data(spec: str, root: Path, reads: Reads) -> Data:
    """A data set of a recipe's form; a folder with images right inside it needs no classes. Of a table the parts of
    the field are read, with these columns, and labels are not needed.

    Labels there may be of the model's kind of task; a reader that knows classes only is read as it is. Files that
    cannot be read are items too.
    """
    from transfuse.data.file_digests import unchecked
    from transfuse.data.open import is_path, open_data, read_as, settings, unlabelled, with_parts
    from transfuse.data.open import reads as labels_for
    from transfuse.data.photos import images_in
    from transfuse.files.images import SUFFIXES

    settings(spec)
    folder = root / Path(spec).expanduser()
    if is_path(spec) and folder.is_file() and folder.suffix.lower() in SUFFIXES:
        hint = f"its folder, {Path(spec).parent}/; or a table with a column 'path'"
        raise UserError("one image is no data set", where=spec, expected="a folder of images, or a table", hint=hint)
    if is_path(spec) and folder.is_dir() and reads.field == TEXT:
        spec = f"texts:{spec}"
    elif is_path(spec) and folder.is_dir() and images_in(folder, deep=False):
        spec = f"images:{spec}"
    table = reads.table if isinstance(reads.table, Mapping) else {}
    read: Any = with_parts(unlabelled(spec, root, table), parts(reads.field), reads.columns)
    with unchecked():
        return open_data(read_as(read, reads.kind) if labels_for(read, reads.kind) else read, root)


def asked(data: Data, size: int, ask: Callable[[np.ndarray], np.ndarray], report: Report | None = None) -> Asked:
    """What `ask` answers for the canvases of this size of every item that can be read, batch by batch.

    Raises UserError, naming why, where none can be.
    """
    answers: list[np.ndarray] = []
    seen: list[np.ndarray] = []
    items: list[str] = []
    unread: dict[str, str] = {}
    for start in range(0, len(data.items), BATCH):
        rows = range(start, min(start + BATCH, len(data.items)))
        kept, canvases = _canvases(data, rows, size, unread)
        if kept:
            items += [data.items.ids[row] for row in kept]
            seen += [looks(canvases)] if data.field == IMAGE else []
            answers.append(ask(canvases).astype(np.float64))
        if report is not None:
            report(rows[-1] + 1, len(data.items))
    if not answers:
        raise many_problems("no item can be read", [f"{item}: {why}" for item, why in unread.items()])
    return Asked(tuple(items), np.concatenate(answers), np.concatenate(seen) if seen else None, unread)


def _canvases(data: Data, rows: Sequence[int], size: int, unread: dict[str, str]) -> tuple[list[int], np.ndarray]:
    """The rows that can be read, and their canvases; why the others cannot is added to `unread`."""
    from transfuse.data.canvas import batch
    from transfuse.data.file_digests import in_short

    try:
        return list(rows), batch(data, rows, size)
    except UserError:
        # One of them at least: each is its own on the canvas, so they can be read one by one.
        kept: dict[int, np.ndarray] = {}
    for row in rows:
        try:
            kept[row] = batch(data, [row], size)
        except UserError as error:
            unread[data.items.ids[row]] = in_short(error)
    return list(kept), np.concatenate([*kept.values()]) if kept else np.empty(0)
