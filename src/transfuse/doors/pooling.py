"""Predictions made elsewhere, fused: without it the cheapest fusion of all would need the models again.

Beside files and arrays `evaluate` takes methods of `outputs/`, by name or as a recipe writes a candidate:
`{"a": "a.csv", "b": "b.csv", "both": {"fuse": "outputs/convex", "of": ["a", "b"]}}`. What is fitted is fitted on the
items of the split `val`, where labels have one, else out of fold by item (or group): no item helps to answer itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.errors import UserError, unknown_name
from transfuse.evaluation.elsewhere.door import SELECTION, read_all
from transfuse.evaluation.tables import Table
from transfuse.fusion import outputs_lift
from transfuse.fusion.contract import About
from transfuse.kinds import LEAST_PROBABILITY
from transfuse.registry import Entry, method

FAMILY = "outputs/"
WORDS = ("fuse", "of", "cost")


def fusions(predictions: Any) -> dict[str, dict[str, Any]]:
    """The entries that are fusions of others: {name: {fuse, of, settings …}}."""
    found = {}
    for name, given in predictions.items() if isinstance(predictions, Mapping) else ():
        if isinstance(given, str) and given.startswith(FAMILY):
            found[str(name)] = {"fuse": given}
        elif isinstance(given, Mapping) and "fuse" in given:
            found[str(name)] = {str(key): value for key, value in given.items()}
    return found


def with_fusions(predictions: Mapping[str, Any], labels: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The predictions with every fusion carried out; a fusion is of plain predictions.

    Raises `UserError` for unknown methods, settings and members, fewer than two members, members of different runs, and
    tasks without classes.
    """
    asked = fusions(predictions)
    plain = {str(name): given for name, given in predictions.items() if str(name) not in asked}
    if settings.get("kind", "multiclass") != "multiclass" or labels is None:
        what = "predictions are fused for tasks of classes, with their labels"
        got = f"a {settings.get('kind', 'multiclass')} task" if labels is not None else "no labels"
        raise UserError(what, got=got, hint="average them yourself, and give the mean as predictions of its own")
    known, tables = read_all(plain, labels, settings)
    items = known.items(None)
    splits = dict(zip(known.labels.ids, known.labels.splits or (), strict=False))
    apart = np.array([splits.get(item) == SELECTION for item in items.ids])
    fold = outputs_lift.folds([*(items.groups or items.ids)])
    made: dict[str, Any] = dict(plain)
    for name, facts in asked.items():
        where = f"predictions '{name}'"
        entry = method(str(facts["fuse"]), where=where)
        given = entry.settings({key: value for key, value in facts.items() if key not in WORDS}, where=where)
        members = _members(entry, facts, tables, where)
        about = _about(facts, members, known.found, len(known.classes), where)
        targets, scores = np.asarray(items.targets), []
        for number in range(len(next(iter(members.values())).runs)):
            stacked = np.stack([table.probs[number] for table in members.values()])
            if apart.any():
                state = outputs_lift.fit(entry, stacked[:, apart], targets[apart], given, about)
                scores.append(outputs_lift.apply(entry, state, stacked))
            else:
                scores.append(outputs_lift.crossfitted(entry, stacked, targets, given, fold, about)[0])
        pooled, scale = np.stack(scores), "probability"
        if settings.get("scale") == "logit":
            # One scale is said of all predictions.
            pooled, scale = np.log(np.maximum(pooled, LEAST_PROBABILITY)), "logit"
        made[name] = {
            "scores": pooled, "ids": np.array(items.ids), "scale": np.array(scale),
            "classes": np.array(known.classes), "seed": np.array(next(iter(members.values())).runs),
        }  # fmt: skip
    return {str(name): made[str(name)] for name in predictions}


def _members(entry: Entry, facts: Mapping[str, Any], tables: Mapping[str, Table], where: str) -> dict[str, Table]:
    if entry.shelf != "fusion/outputs":
        raise UserError(f"{entry.full_name} fuses no predictions", where=where, hint="a method of outputs/")
    of = [str(name) for name in facts.get("of", tables)]
    for name in of:
        if name not in tables:
            raise unknown_name("predictions", name, tables, where=f"{where}, of")
    if len(set(of)) < 2:
        raise UserError("a fusion is of two or more predictions", where=where, got=", ".join(of) or "none")
    found = {name: tables[name] for name in dict.fromkeys(of)}
    runs = {name: table.runs for name, table in found.items()}
    if len(set(runs.values())) > 1:
        got = "; ".join(f"{name}: {', '.join(each)}" for name, each in runs.items())
        raise UserError("predictions of different runs are not fused", where=where, expected="the same seeds", got=got)
    return found


def _about(facts: Mapping[str, Any], members: Mapping[str, Table], found: Any, classes: int, where: str) -> About:
    """Which classes each member knows, and what it costs: `cost` by name where it is given, else the same for all."""
    known = [[True] * classes if found.get(name) is None else list(found[name].known) for name in members]
    given = facts.get("cost", dict.fromkeys(members, 1.0))
    ok = isinstance(given, Mapping) and set(given) == set(members)
    if not ok or not all(isinstance(one, int | float) and 0 < one < 1e30 for one in given.values()):
        expected = f"a positive number for each of {', '.join(members)}"
        raise UserError("`cost` says what one answer of each member costs", where=where, expected=expected)
    return About(np.array(known), np.array([float(given[name]) for name in members]))


def described(predictions: Any) -> dict[str, dict[str, Any]]:
    """The fusions among predictions as what they are, by name: method, members, form and training of an arm."""
    asked = fusions(predictions)
    plain = [name for name in map(str, predictions) if name not in asked] if asked else []
    return {
        name: {
            "method": str(facts["fuse"]),
            "members": tuple(map(str, facts.get("of", plain))),
            "form": "cascade" if method(str(facts["fuse"])).traits.get("stops_early") else "ensemble",
            "train": "out of fold, or on the rows of split val",
        }
        for name, facts in asked.items()
    }
