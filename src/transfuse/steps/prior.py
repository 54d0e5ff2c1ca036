"""The prior: class frequencies of the training rows, for every item alike; what knowing nothing is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.steps._context import Context, Result, table
from transfuse.steps._fitted import fitted, made_of, rows_of, selection_rows
from transfuse.store import Artifact

REVISION = 1


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """Frequencies with one pseudo-count per class, so that no class is impossible."""
    items, rows = table(inputs["items"]), rows_of(inputs)
    targets = items.targets()
    counts = np.bincount(targets[rows["train"]], minlength=len(items.classes)) + 1.0
    shares = counts / counts.sum()
    scores = {part: (where, np.tile(shares, (len(where), 1))) for part, where in selection_rows(rows).items()}
    facts = {"kind": "prior", "items": 0, "made_of": made_of(params, context)}
    return fitted(scores, "probability", targets, facts, {"shares": shares})


def predict(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> np.ndarray:
    """The same row for every judged item."""
    return np.tile(inputs["fit"]["shares"], (len(inputs["rows"]["judge"]), 1))
