"""What every fitted arm leaves behind, whichever way it was fitted: scores on the selection rows, and what they say.

Choices rest on the held rows, the temperature on the calibration rows; neither ever sees a judged row. Under
cross-fitting both are the training rows' inner out-of-fold scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfuse.evaluation import temperature
from transfuse.evaluation.metric import metric as find_metric
from transfuse.kinds import kind_of
from transfuse.mapped import picked
from transfuse.steps import Context, Result
from transfuse.store import Artifact
from transfuse.types import TaskKind

# The inputs that a model is built of, beside its own fit.
BUILT_OF = ("card", "member", "recipient", "merged")


def fitted(
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]],
    scale: str,
    targets: np.ndarray,
    facts: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray] | None = None,
    kind: TaskKind = "multiclass",
) -> Result:
    """An arm's artifact: `scores` maps held and calibrate to (rows [n], scores [n, C]); `facts` go into its record.

    `selection` is the usual loss of the task's kind on the held rows; `task` names the kind where it is not multiclass.
    """
    held_rows, held = scores["held"]
    calibrate_rows, calibrate = scores["calibrate"]
    heat = temperature.fit(calibrate, targets[calibrate_rows], scale, kind)  # pyright: ignore[reportArgumentType]
    answers = temperature.apply(held, scale, heat, kind)  # pyright: ignore[reportArgumentType]
    loss = find_metric(kind_of(kind).metric).values(targets[held_rows], answers[None])[0]
    meta = {"scale": scale, "temperature": heat, "selection": float(loss), **facts}
    meta |= {} if kind == "multiclass" else {"task": kind}
    kept = {"held_rows": held_rows, "held": held, "calibrate_rows": calibrate_rows, "calibrate": calibrate}
    return meta, {**kept, **(arrays or {})}


def task_of(artifact: Artifact) -> TaskKind:
    """The kind of task that a fitted arm, or its predictions, belong to."""
    return artifact.meta.get("task", "multiclass")


def matched(params: Mapping[str, Any], inputs: Mapping[str, Artifact]) -> Mapping[str, Any]:
    """The parameters of an arm once it is brought up to another's cost: its settings and schedule may change."""
    if "match" not in inputs:
        return params
    found = inputs["match"].meta
    changed = {part: {**params[part], **found[part]} for part in ("settings", "schedule") if part in params}
    return {**params, **changed}


def made_of(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """How to build this arm again: its parameters, and the keys of the cards and members it was made of."""
    return {
        "params": dict(params),
        "keys": {role: key for role, key in context.keys.items() if role.startswith(BUILT_OF)},
    }


def told_of_merge(inputs: Mapping[str, Artifact]) -> dict[str, Any]:
    """What is known of the merge that an arm rests on, for its record."""
    return {"merge": inputs["merged"].meta["told"]} if "merged" in inputs else {}


def rows_of(inputs: Mapping[str, Artifact]) -> dict[str, np.ndarray]:
    """The run's rows: train, calibrate, judge, and fitI, heldI for each fit."""
    return dict(inputs["rows"].arrays)


def fits_of(rows: Mapping[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The (fit, held) pairs in order."""
    count = sum(name.startswith("held") for name in rows)
    return [(rows[f"fit{index}"], rows[f"held{index}"]) for index in range(count)]


def selection_rows(rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The held rows of all fits, and the calibration rows."""
    return {"held": np.concatenate([held for _, held in fits_of(rows)]), "calibrate": rows["calibrate"]}


def blocks_of(inputs: Mapping[str, Artifact]) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Features from the inputs `xI|BLOCK`: data rows [M], and per read, in the reads' order, one [M, ...] in pieces:
    what lies in several files is not put together."""
    parts: dict[int, list[Artifact]] = {}
    for role in sorted(role for role in inputs if role.startswith("x") and "|" in role):
        parts.setdefault(int(role[1:].split("|", 1)[0]), []).append(inputs[role])
    rows = np.concatenate([part["rows"] for part in parts[min(parts)]])
    return rows, [[part["block"] for part in parts[index]] for index in sorted(parts)]


def lines_of(rows: np.ndarray, pieces: Sequence[np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """The lines of a block in pieces for these data rows [n, ...]. Raises KeyError for a row that it does not cover."""
    order = np.argsort(rows, kind="stable")
    places = np.searchsorted(rows, wanted, sorter=order)
    found = order[np.minimum(places, len(rows) - 1)]
    if not np.array_equal(rows[found], wanted):
        raise KeyError("a row without features")
    return picked(pieces, found)
