"""Bringing a single up to a fusion: without it more compute or more parameters could pass for more knowledge.

`flops`: as many epochs as spend what the winner's training took in all, features and search included, on the same
schedule's shape and without stopping early. `parameters`: one hidden layer, as wide as makes up for the rest of the
winner's parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.schedules import Schedule
from transfuse.steps import Context, Result, _spent, failed, failure
from transfuse.steps._fitted import fits_of
from transfuse.store import Artifact

REVISION = 1


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`settings` and `schedule`: what changes of the single's; `told`: what was matched, in numbers.

    Inputs are `single` (a count), `winner` (a count), `rows|RUN`, and for FLOPs the `fit|PART|RUN` and `count|PART` of
    all that was trained for the winner. Fails, with the reason, where there is nothing to make up for or too much.
    """
    if reason := failure(inputs):
        return failed(reason)
    return _flops(params, inputs) if params["rule"] == "flops" else _parameters(params, inputs)


def _flops(params: Mapping[str, Any], inputs: Mapping[str, Artifact]) -> Result:
    rows = {role.split("|")[1]: inputs[role].arrays for role in inputs if role.startswith("rows|")}
    plan = Schedule.of(params["schedule"])
    single = inputs["single"].meta
    budget = _budget(inputs, rows)
    fits = [fits_of(there) for there in rows.values()]
    per_epoch = plan.tries * float(np.mean([sum(len(fit) for fit, _ in pairs) for pairs in fits]))
    once = 0.0
    if plan.regime == "frozen":
        once = float(np.mean([_spent.features(_FROZEN, inputs["single"], there) for there in rows.values()]))
    own = plan.lasting(len(fits[0][0][0])).epochs
    wanted = math.ceil((budget - once) / (per_epoch * single["step_flops"]))
    epochs = min(max(wanted, own), params["longest"] * own)
    told = {
        "rule": "flops",
        "budget_flops": budget,
        "epochs": epochs,
        "own_epochs": own,
        "capped": wanted > epochs,
        "dearer": wanted < own,
    }
    return {"settings": {}, "schedule": {"epochs": epochs, "patience": epochs, "least_steps": 1}, "told": told}, None


_FROZEN = Artifact({"kind": "as_is"}, {})


def _budget(inputs: Mapping[str, Artifact], rows: Mapping[str, Mapping[str, np.ndarray]]) -> float:
    """What the winner's training took, mean over the runs."""
    spent = 0.0
    for role, artifact in inputs.items():
        if role.startswith("fit|"):
            _, part, run = role.split("|")
            spent += _spent.cold(artifact, inputs[f"count|{part}"], rows[run])
    return spent / len(rows)


def _parameters(params: Mapping[str, Any], inputs: Mapping[str, Artifact]) -> Result:
    single, winner = inputs["single"].meta["parameters"], inputs["winner"].meta["parameters"]
    width, classes = params["width"], params["classes"]
    if winner <= single:
        return failed(f"the best single has no fewer parameters ({single:,}) than the fusion ({winner:,})")
    body = single - classes * (width + 1)
    hidden = max(1, math.ceil((winner - body - classes) / (width + classes + 1)))
    head = hidden * (width + classes + 1) + classes
    if head > params["largest"]:
        return failed(
            f"its head would need {head:,} parameters to have as many as the fusion; heads above"
            f" {params['largest']:,} are not trained"
        )
    if hidden > params["widest"]:
        return failed(f"its hidden layer would have to be {hidden:,} wide; {params['widest']:,} is the most")
    told = {"rule": "parameters", "hidden": hidden, "head_parameters": head}
    return {"settings": {"project": hidden}, "schedule": {}, "told": told}, None
