"""Rows that were seen before: without it a copy of a training image in the test would count as skill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transfuse.data.items import DIGEST_DIGITS, Items
from transfuse.data.near_duplicates import BLOCK, THRESHOLDS, alike, marks
from transfuse.data.split import Partition, Run
from transfuse.errors import UserError
from transfuse.fields import IMAGE

EXAMPLES = 5
# About a minute of one core.
MOST_PAIRS = 1_000_000_000
# So many on the other side at once: with all of a million a block would take gigabytes.
OTHERS = 4096
NOTHING_LISTED = ("none", "unknown")


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

    `seen` lists ids or digests (the 32 digits of an item's digest, or the 64 of an image file's SHA-256): a list, or a
    file with one a line. "none" and "unknown" list nothing; that unknown is no clean bill is for the verdict to say.
    """
    listed = _listed(seen)
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
        try:
            lines: Sequence[str] = Path(seen).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            expected = "none, unknown, or a text file with one item id or digest a line"
            raise UserError("the list of seen rows cannot be read", where=str(seen), expected=expected) from error
    else:
        lines = seen
    names = {line.strip() for line in lines}
    shortened = {name[:DIGEST_DIGITS].lower() for name in names if len(name) == 2 * DIGEST_DIGITS}
    return frozenset((names | shortened) - {""})
