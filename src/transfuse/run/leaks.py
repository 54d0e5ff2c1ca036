"""What of the judged rows something has seen before; without it a verdict on known rows would look like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from transfuse.data.items import Items
from transfuse.data.leakage import NOTHING_LISTED, duplicates, overlap
from transfuse.data.split import Partition
from transfuse.plan.recipe import Recipe


def leaks(items: Items, parts: Partition, recipe: Recipe, root: Path) -> list[str]:
    """Sentences on judged rows that something has seen before: copies in training, rows a source lists as seen.

    Raises UserError for a list of seen rows that is not there: it would read as a source that has seen none.
    """
    found = []
    copied = [entry for entry in duplicates(items, parts) if entry.count]
    if copied:
        worst = max(copied, key=lambda entry: entry.share)
        pairs = "; ".join(f"{left} = {right}" for left, right in worst.pairs[:3])
        found.append(
            f"{worst.count} judged items ({100 * worst.share:.1f} %) also stand in the training rows, e.g. {pairs}"
        )
    judged = np.unique(np.concatenate([run.judge for run in parts.runs]))
    for name, entry in recipe.entries.items():
        if entry.seen in NOTHING_LISTED:
            continue
        rows = overlap(items, judged, root / entry.seen if isinstance(entry.seen, str) else entry.seen)
        if rows:
            found.append(
                f"source '{name}' has seen {len(rows)} of {len(judged)} judged items, e.g. {', '.join(rows[:3])}"
            )
    return found
