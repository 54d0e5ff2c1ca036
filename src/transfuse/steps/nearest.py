"""Near-identical training rows of the judged rows, as one source sees them; without it only pixels and words could say
what stands on both sides.

Each judged row is held against the training rows of the runs that judge it, and of these only: what trains one fold is
judged in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.cells import filled
from transfuse.evaluation.nearest import RATE, TENTH, Lines, nearest
from transfuse.evaluation.statistics.resample import group_codes
from transfuse.mapped import picked
from transfuse.steps import Context, Result, failure, table
from transfuse.steps._fitted import blocks_of
from transfuse.store import Artifact
from transfuse.types import Undefined

REVISION = 1


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`judged [n]` rows in ascending order, `other [n]` the training row that is nearest by its run's limit (-1: none),
    `ratio [n]` of its distance to the tenth's, and `close [n]` whether that is below the limit.

    Inputs: the source's features `xNUMBER|BLOCK`, `rows|RUN`. A row that several runs judge gets a share of the rate
    from each. `undefined` holds the reason where nothing can be said.
    """
    if reason := failure(inputs):
        return {"undefined": reason}, None
    lines = _lines(inputs)
    runs = {role.split("|")[1]: artifact.arrays for role, artifact in inputs.items() if role.startswith("rows|")}
    judged, counts = np.unique(np.concatenate([rows["judge"] for rows in runs.values()]), return_counts=True)
    items = table(inputs["items"])
    apart = np.arange(len(items)) if items.groups is None else group_codes(items.groups)
    rate = RATE / int(counts.max())
    other, ratio = np.full(len(judged), -1, dtype=np.int64), np.full(len(judged), np.nan)
    least, limits, own = np.full(len(judged), np.inf), {}, []
    for name, rows in runs.items():
        known = np.unique(np.concatenate([found for part, found in rows.items() if part != "judge"]))
        found = nearest(lines, known, rows["judge"], apart, rate)
        if isinstance(found, Undefined):
            return {"undefined": found.reason}, None
        limits[name] = {"ratio": found.limit.ratio, "dimension": found.limit.dimension}
        own.append(found.own)
        places, share = np.searchsorted(judged, rows["judge"]), found.ratio / found.limit.ratio
        nearer = np.where(np.isnan(share), np.inf, share) < least[places]
        least[places[nearer]] = share[nearer]
        other[places[nearer]], ratio[places[nearer]] = found.other[nearer], found.ratio[nearer]
    meta = {"rate": RATE, "neighbours": TENTH, "limits": limits, "own": float(np.mean(own))}
    return meta, {"judged": judged, "other": other, "ratio": ratio, "close": least <= 1.0}


def _lines(inputs: Mapping[str, Artifact]) -> Lines:
    """Features of any rows, all taps of the source side by side; nothing is put together beyond what is asked for."""
    rows, reads = blocks_of(inputs)
    numbers = {
        role.split("|")[0]: found.meta.get("numbers", 0) for role, found in inputs.items() if "block" in found.arrays
    }
    pieces = [[filled(piece, numbers[f"x{index}"]) for piece in read] for index, read in enumerate(reads)]
    places = np.full(int(rows.max()) + 1, -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))

    def lines(wanted: np.ndarray) -> np.ndarray:
        return np.concatenate([picked(read, places[wanted]).reshape(len(wanted), -1) for read in pieces], axis=1)

    return lines
