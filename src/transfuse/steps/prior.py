"""The prior: class frequencies of the training rows, for every item alike; what knowing nothing is worth.

Of labels it is the share of rows that have each, of a regression the mean of each target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.evaluation.frequencies import answer
from transfuse.steps import Context, Result, table
from transfuse.steps._fitted import fitted, made_of, rows_of, selection_rows
from transfuse.store import Artifact

REVISION = 1


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """The one answer of the training rows, for every row."""
    items, rows = table(inputs["items"]), rows_of(inputs)
    targets = items.targets()
    shares = answer(targets[rows["train"]], items.kind, len(items.classes))
    scale = "value" if items.kind == "regression" else "probability"
    scores = {part: (where, np.tile(shares, (len(where), 1))) for part, where in selection_rows(rows).items()}
    facts = {"kind": "prior", "items": 0, "made_of": made_of(params, context)}
    return fitted(scores, scale, targets, facts, {"shares": shares}, items.kind)


def predict(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> np.ndarray:
    """The same row for every judged item."""
    return np.tile(inputs["fit"]["shares"], (len(inputs["rows"]["judge"]), 1))
