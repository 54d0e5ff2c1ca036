"""Pooled predictions: other arms' scores, fused by an outputs method that is fitted on the selection rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.fusion import outputs_lift
from transfuse.registry import method
from transfuse.steps._context import Context, Result, table
from transfuse.steps._fitted import failed, failure, fitted, made_of
from transfuse.store import Artifact

REVISION = 1


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """Fit on the held rows; score held and calibration rows. Members' rows are joined by row number."""
    if reason := failure(inputs):
        return failed(reason)
    targets = table(inputs["items"]).targets()
    entry = method(params["method"])
    rows = {part: members(inputs)[0][f"{part}_rows"] for part in ("held", "calibrate")}
    stacked = {part: _stack(inputs, part, where) for part, where in rows.items()}
    state = outputs_lift.fit(entry, stacked["held"], targets[rows["held"]], params["settings"])
    scores = {part: (where, outputs_lift.apply(entry, state, stacked[part])) for part, where in rows.items()}
    facts = {"kind": "pool", "items": 0, "made_of": made_of(params, context)}
    return fitted(scores, "probability", targets, facts, {f"state/{name}": array for name, array in state.items()})


def predict(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> np.ndarray:
    """Probabilities [N, C] of the judged rows from the members' own predictions."""
    state = {
        name.removeprefix("state/"): array for name, array in inputs["fit"].arrays.items() if name.startswith("state/")
    }
    pooled = [outputs_lift.probabilities(member["scores"], member.meta["scale"]) for member in members(inputs)]
    return outputs_lift.apply(method(params["method"]), state, np.stack(pooled))


def members(inputs: Mapping[str, Artifact]) -> list[Artifact]:
    """The member arms in order."""
    count = sum(role.startswith("member") for role in inputs)
    return [inputs[f"member{index}"] for index in range(count)]


def _stack(inputs: Mapping[str, Artifact], part: str, rows: np.ndarray) -> np.ndarray:
    found = []
    for member in members(inputs):
        place = {int(row): index for index, row in enumerate(member[f"{part}_rows"])}
        scores = member[part][[place[int(row)] for row in rows]]
        found.append(outputs_lift.probabilities(scores, member.meta["scale"]))
    return np.stack(found)
