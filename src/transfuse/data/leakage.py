"""Rows that were seen before: without it a copy of a training image in the test would count as skill."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transfuse.data.items import DIGEST_DIGITS, Items
from transfuse.data.near_duplicates import BLOCK, THRESHOLDS, alike, marks
from transfuse.data.split import Partition, Run
from transfuse.errors import UserError
from transfuse.fields import IMAGE
from transfuse.files.sheets import read_sheet, text_in

EXAMPLES = 5
# About a minute of one core.
MOST_PAIRS = 1_000_000_000
# So many on the other side at once: with all of a million a block would take gigabytes.
OTHERS = 4096
NOTHING_LISTED = ("none", "unknown")
# Columns of a CSV that may list rows; the first that is there does.
LISTING = ("item", "path", "digest")
DIGEST = re.compile(rf"([0-9a-fA-F]{{{DIGEST_DIGITS}}}){{1,2}}")
SHOWN = 3


@dataclass(frozen=True)
class Duplicates:
    """Judged rows of a run whose content also stands among its training, choosing or calibrating rows.

    `share` is of the judged rows, in [0, 1]; `pairs` are up to five examples (judged id, the other id).
    """

    run: str
    count: int
    share: float
    pairs: tuple[tuple[str, str], ...]


def duplicates(items: Items, partition: Partition) -> tuple[Duplicates, ...]:
    """Exact copies across the border of each run, one record a run, also where there are none."""
    return tuple(_duplicates(items, run) for run in partition.runs)


def look_alikes(
    items: Items, partition: Partition, raw: Callable[[int], np.ndarray], field: str = IMAGE
) -> list[tuple[str, str]] | None:
    """Judged rows that look almost like a row of the other side of their run: pairs (judged id, the other id).

    Each judged row is listed once, with the first such row of the first run that has one; exact copies are left to
    `duplicates`. `raw(row)` are the pixels. None where there are too many pairs to look at.
    """
    known = [_known(run) for run in partition.runs]
    if sum(len(run.judge) * len(rows) for run, rows in zip(partition.runs, known, strict=True)) > MOST_PAIRS:
        return None
    rows = np.unique(np.concatenate([*known, *(run.judge for run in partition.runs)]))
    images = marks(raw, rows)
    found: dict[int, int] = {}
    for run, others in zip(partition.runs, known, strict=True):
        places = np.searchsorted(rows, others)
        copied = {items.digests[row] for row in others}
        fresh = np.array([row for row in run.judge if row not in found and items.digests[row] not in copied], np.int64)
        for start in range(0, len(fresh), BLOCK):
            block = fresh[start : start + BLOCK]
            ones = images[np.searchsorted(rows, block)]
            for column in range(0, len(places), OTHERS):
                near = alike(ones, images[places[column : column + OTHERS]], THRESHOLDS[field])
                for hit in np.flatnonzero(near.any(axis=1)):
                    found.setdefault(int(block[hit]), int(others[column + near[hit].argmax()]))
    return [(items.ids[row], items.ids[found[row]]) for row in sorted(found)]


def overlap(items: Items, rows: Sequence[int] | np.ndarray, seen: str | Path | Sequence[str]) -> list[str]:
    """Ids of those `rows` that a source says it has seen, in the order of `rows`.

    `seen` lists ids or digests (the 32 digits of an item's digest, or the 64 of an image file's SHA-256): a list, a
    file with one a line, or a CSV with them in a column `item`, `path` or `digest`. "none" and "unknown" list nothing;
    that unknown is no clean bill is for the verdict to say. Raises `UserError` for a list of ids none of which is an
    item of these data: it would read as a source that has seen none.
    """
    listed = _listed(seen)
    if listed and not all(map(DIGEST.fullmatch, listed)) and listed.isdisjoint((*items.ids, *items.digests)):
        raise UserError(
            "no row that is listed as seen is an item of these data",
            where=str(seen) if isinstance(seen, str | Path) else "seen",
            expected=f"ids such as {', '.join(items.ids[:SHOWN])}, or digests",
            got=", ".join(sorted(listed)[:SHOWN]),
            hint="`seen: none` says that a source has seen none of these items",
        )
    hits = (int(row) for row in rows if items.ids[row] in listed or items.digests[row] in listed)
    return [items.ids[row] for row in hits]


def _duplicates(items: Items, run: Run) -> Duplicates:
    first: dict[str, str] = {}
    for row in _known(run):
        first.setdefault(items.digests[row], items.ids[row])
    pairs = [(items.ids[row], first[items.digests[row]]) for row in run.judge if items.digests[row] in first]
    return Duplicates(run.name, len(pairs), len(pairs) / max(len(run.judge), 1), tuple(pairs[:EXAMPLES]))


def _known(run: Run) -> np.ndarray:
    """The rows that a run trains on, chooses by or calibrates on, in ascending order."""
    return np.unique(
        np.concatenate([run.train, run.calibrate, *(rows for fit in run.fits for rows in (fit.fit, fit.held))])
    )


def _listed(seen: str | Path | Sequence[str]) -> frozenset[str]:
    if isinstance(seen, str) and seen in NOTHING_LISTED:
        return frozenset()
    if isinstance(seen, str | Path):
        lines = _of_file(Path(seen))
    else:
        lines = seen
    names = {line.strip() for line in lines}
    shortened = {name[:DIGEST_DIGITS].lower() for name in names if len(name) == 2 * DIGEST_DIGITS}
    return frozenset((names | shortened) - {""})


def _of_file(path: Path) -> Sequence[str]:
    """The ids or digests in a file: of a CSV with a header those in its first column that holds such."""
    try:
        lines = text_in(path).splitlines()
    except (OSError, UserError) as error:
        expected = "none, unknown, or a text file with one item id or digest a line, or a CSV"
        raise UserError("the list of seen rows cannot be read", where=str(path), expected=expected) from error
    if path.suffix.lower() != ".csv" or len(lines) < 2:
        return lines
    header, rows = read_sheet(path)
    column = next((name for name in LISTING if name in header), None)
    if column is not None:
        return [row[header.index(column)] for row in rows]
    if len(header) == 1:
        return lines
    expected = f"a column {' or '.join(LISTING)}, or one item id or digest a line"
    raise UserError("the CSV does not say which rows were seen", where=str(path), expected=expected, got=str(header))
