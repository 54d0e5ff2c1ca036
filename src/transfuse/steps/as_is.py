"""A source as it is: its own head, where that head names classes of the target.

A head that knows only some of them is made an answer over all: how likely a row is of its classes is learned on the
selection rows (`transfuse.partial`), and what choices rest on never saw the row itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse import partial
from transfuse.fusion import outputs_lift
from transfuse.steps import Context, Result, failed, failure, table
from transfuse.steps._fitted import blocks_of, fitted, lines_of, made_of, rows_of, selection_rows, told_of_merge
from transfuse.steps.pool import names
from transfuse.store import Artifact
from transfuse.types import Card

REVISION = 1


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """Logits of the target's classes; of a head that knows some of them probabilities, and `known` says which.

    `columns` says which class each of the source's own stands for, where names alone do not.
    """
    if reason := failure(inputs):
        return failed(reason)
    rows = selection_rows(rows_of(inputs))
    facts = {"kind": "as_is", "items": 0, "made_of": made_of(params, context)} | told_of_merge(inputs)
    items = table(inputs["items"])
    if not _knows_some(params):
        scores = {part: (where, _logits(params, inputs, where)) for part, where in rows.items()}
        return fitted(scores, "logit", items.targets(), facts, None, items.kind)
    targets, every = items.targets(), np.unique(np.concatenate([*rows.values()]))
    known = _known(params)
    answers = partial.grouped(_own(inputs, every), params["columns"], len(known), "logit")
    fold = outputs_lift.folds(names(items, every))
    whole, opening = partial.crossfitted(*answers, known, targets[every], fold)
    scores = {part: (where, whole[np.searchsorted(every, where)]) for part, where in rows.items()}
    facts["known"] = known.tolist()
    return fitted(scores, "probability", targets, facts, {"state/opening": opening})


def predict(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> np.ndarray:
    """Logits [N, C] of the judged rows, or probabilities where the head knows some classes only."""
    wanted = inputs["rows"]["judge"]
    if not _knows_some(params):
        return _logits(params, inputs, wanted)
    known = _known(params)
    answers = partial.grouped(_own(inputs, wanted), params["columns"], len(known), "logit")
    return partial.opened(*answers, known, inputs["fit"]["state/opening"])


def _knows_some(params: Mapping[str, Any]) -> bool:
    return "columns" in params and not _known(params).all()


def _known(params: Mapping[str, Any]) -> np.ndarray:
    """Which of the target's classes the head knows. [C]."""
    return np.isin(np.arange(len(params["classes"])), params["columns"])


def _logits(params: Mapping[str, Any], inputs: Mapping[str, Artifact], wanted: np.ndarray) -> np.ndarray:
    block = _own(inputs, wanted)
    if "columns" in params:
        q, _ = partial.grouped(block, params["columns"], len(params["classes"]), "logit")
        return np.log(np.maximum(q, partial.FLOOR))
    card = Card.from_record(inputs["card0"].meta)
    return block[:, [card.classes.index(name) for name in params["classes"]]]


def _own(inputs: Mapping[str, Artifact], wanted: np.ndarray) -> np.ndarray:
    """The source's own logits of these rows. [n, own]."""
    rows, (pieces,) = blocks_of(inputs)
    return lines_of(rows, pieces, wanted)
