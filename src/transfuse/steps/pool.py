"""Pooled predictions: other arms' scores, fused by an outputs method that is fitted on the selection rows.

What choices rest on are answers for rows that the method was not fitted to (out of fold); the state that is kept was
fitted to all selection rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.data.items import Items
from transfuse.fusion import kinds_lift, outputs_lift
from transfuse.fusion.contract import About
from transfuse.registry import method
from transfuse.steps import Context, Result, failed, failure, table
from transfuse.steps._fitted import fitted, made_of, task_of
from transfuse.store import Artifact
from transfuse.types import TaskKind

REVISION = 2


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """Fit on the held rows; score held and calibration rows. Members' rows are joined by row number.

    `used` tells how often each member is asked, on the held rows out of fold. A calibration row that was fitted to is
    answered out of fold too.
    """
    if reason := failure(inputs):
        return failed(reason)
    items = table(inputs["items"])
    if items.kind != "multiclass":
        return _of_other_kind(params, inputs, context, items)
    targets, entry = items.targets(), method(params["method"])
    rows = {part: members(inputs)[0][f"{part}_rows"] for part in ("held", "calibrate")}
    stacked = {part: _stack(inputs, part, where) for part, where in rows.items()}
    about = about_members(inputs, len(items.classes))
    held, wanted = rows["held"], targets[rows["held"]]
    fold = outputs_lift.folds(names(items, held))
    state = outputs_lift.fit(entry, stacked["held"], wanted, params["settings"], about)
    apart, used = outputs_lift.crossfitted(entry, stacked["held"], wanted, params["settings"], fold, about, state)
    calibrate = outputs_lift.apply(entry, state, stacked["calibrate"])
    place = {int(row): index for index, row in enumerate(held)}
    seen = np.array([place.get(int(row), -1) for row in rows["calibrate"]])
    calibrate[seen >= 0] = apart[seen[seen >= 0]]
    scores = {"held": (held, apart), "calibrate": (rows["calibrate"], calibrate)}
    facts = {"kind": "pool", "items": 0, "made_of": made_of(params, context), "used": used.mean(axis=1).tolist()}
    facts |= {} if about.known.any(axis=0).all() else {"known": about.known.any(axis=0).tolist()}
    return fitted(scores, "probability", targets, facts, {f"state/{name}": array for name, array in state.items()})


def predict(
    params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Probabilities [N, C] of the judged rows from the members' own predictions; `used [K, N]` beside them where the
    method stops early."""
    entry = method(params["method"])
    state = {
        name.removeprefix("state/"): array for name, array in inputs["fit"].arrays.items() if name.startswith("state/")
    }
    kind = task_of(inputs["fit"])
    if kind != "multiclass":
        answers = [kinds_lift.answers(member["scores"], member.meta["scale"], kind) for member in members(inputs)]
        return kinds_lift.apply(method(params["method"]), state, np.stack(answers), kind), {}
    wanted = inputs["rows"]["judge"]
    pooled, used = outputs_lift.run(
        entry, state, np.stack([_probabilities(member, "", wanted) for member in members(inputs)])
    )
    return pooled, {"used": used} if outputs_lift.stops_early(entry) else {}


def members(inputs: Mapping[str, Artifact]) -> list[Artifact]:
    """The member arms in order."""
    count = sum(role.startswith("member") for role in inputs)
    return [inputs[f"member{index}"] for index in range(count)]


def about_members(inputs: Mapping[str, Artifact], classes: int) -> About:
    """What is known of the members: their own classes, and FLOPs per item where the plan counted them."""
    found = members(inputs)
    known = [member.meta.get("known") or [True] * classes for member in found]
    cost = [float(inputs[f"cost{index}"].meta["inference_flops"]) for index in range(len(found)) if "cost0" in inputs]
    return About(np.array(known, dtype=bool), np.array(cost or [1.0] * len(found)))


def names(items: Items, rows: np.ndarray) -> list[str]:
    """What folds are tied to: groups where there are any, else ids."""
    given = items.ids if items.groups is None else items.groups
    return [str(given[int(row)]) for row in rows]


def _probabilities(member: Artifact, part: str, wanted: np.ndarray) -> np.ndarray:
    rows, scores = (member[f"{part}_rows"], member[part]) if part else (member["rows"], member["scores"])
    found = outputs_lift.joined(wanted, rows, scores, str(member.meta.get("kind", "a member")))
    return outputs_lift.probabilities(found, member.meta["scale"])


def _stack(inputs: Mapping[str, Artifact], part: str, rows: np.ndarray) -> np.ndarray:
    return np.stack([_probabilities(member, part, rows) for member in members(inputs)])


def _of_other_kind(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context, items: Items) -> Result:
    """Labels and numbers: fitted on the held rows, which it scores with the calibration rows."""
    targets, kind, entry = items.targets(), items.kind, method(params["method"])
    rows = {part: members(inputs)[0][f"{part}_rows"] for part in ("held", "calibrate")}
    stacked = {part: _answers(inputs, part, where, kind) for part, where in rows.items()}
    state = kinds_lift.fit(entry, stacked["held"], targets[rows["held"]], params["settings"], kind)
    scores = {part: (where, kinds_lift.apply(entry, state, stacked[part], kind)) for part, where in rows.items()}
    facts = {"kind": "pool", "items": 0, "made_of": made_of(params, context)}
    kept = {f"state/{name}": array for name, array in state.items()}
    return fitted(scores, "value" if kind == "regression" else "probability", targets, facts, kept, kind)


def _answers(inputs: Mapping[str, Artifact], part: str, rows: np.ndarray, kind: TaskKind) -> np.ndarray:
    found = []
    for member in members(inputs):
        place = {int(row): index for index, row in enumerate(member[f"{part}_rows"])}
        scores = member[part][[place[int(row)] for row in rows]]
        found.append(kinds_lift.answers(scores, member.meta["scale"], kind))
    return np.stack(found)
