"""A source as it is: its own head, where that head names the target's classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.steps._context import Context, Result, table
from transfuse.steps._fitted import blocks_of, failed, failure, fitted, made_of, rows_of, selection_rows, told_of_merge
from transfuse.store import Artifact
from transfuse.types import Card

REVISION = 1


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """Nothing is fitted; the logits of the target's classes are taken from the source's."""
    if reason := failure(inputs):
        return failed(reason)
    rows = rows_of(inputs)
    scores = {part: (where, _logits(params, inputs, where)) for part, where in selection_rows(rows).items()}
    facts = {"kind": "as_is", "items": 0, "made_of": made_of(params, context)} | told_of_merge(inputs)
    items = table(inputs["items"])
    return fitted(scores, "logit", items.targets(), facts, None, items.kind)


def predict(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> np.ndarray:
    """Logits [N, C] of the judged rows."""
    return _logits(params, inputs, inputs["rows"]["judge"])


def _logits(params: Mapping[str, Any], inputs: Mapping[str, Artifact], wanted: np.ndarray) -> np.ndarray:
    card = Card.from_record(inputs["card0"].meta)
    columns = [card.classes.index(name) for name in params["classes"]]
    rows, (block,) = blocks_of(inputs)
    place = {int(row): index for index, row in enumerate(rows)}
    return block[[place[int(row)] for row in wanted]][:, columns]
