"""Rows that were seen before: without it a copy of a training image in the test would count as skill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transfuse.data.items import DIGEST_DIGITS, Items
from transfuse.data.split import Partition, Run
from transfuse.errors import UserError

EXAMPLES = 5
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


def overlap(items: Items, rows: Sequence[int] | np.ndarray, seen: str | Path | Sequence[str]) -> list[str]:
    """Ids of those `rows` that a source says it has seen, in the order of `rows`.

    `seen` lists ids or digests (the 32 digits of an item's digest, or the 64 of an image file's SHA-256): a list, or a
    file with one a line. "none" and "unknown" list nothing; that unknown is no clean bill is for the verdict to say.
    """
    listed = _listed(seen)
    hits = (int(row) for row in rows if items.ids[row] in listed or items.digests[row] in listed)
    return [items.ids[row] for row in hits]


def _duplicates(items: Items, run: Run) -> Duplicates:
    known = [run.train, run.calibrate, *(part for fit in run.fits for part in (fit.fit, fit.held))]
    first: dict[str, str] = {}
    for row in np.unique(np.concatenate(known)):
        first.setdefault(items.digests[row], items.ids[row])
    pairs = [(items.ids[row], first[items.digests[row]]) for row in run.judge if items.digests[row] in first]
    return Duplicates(run.name, len(pairs), len(pairs) / max(len(run.judge), 1), tuple(pairs[:EXAMPLES]))


def _listed(seen: str | Path | Sequence[str]) -> frozenset[str]:
    if isinstance(seen, str) and seen in NOTHING_LISTED:
        return frozenset()
    if isinstance(seen, str | Path):
        try:
            lines: Sequence[str] = Path(seen).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            expected = "a text file with one item id or digest a line"
            raise UserError("the list of seen rows cannot be read", where=str(seen), expected=expected) from error
    else:
        lines = seen
    names = {line.strip() for line in lines}
    shortened = {name[:DIGEST_DIGITS].lower() for name in names if len(name) == 2 * DIGEST_DIGITS}
    return frozenset((names | shortened) - {""})
