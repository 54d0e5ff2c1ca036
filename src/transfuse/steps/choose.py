"""A choice on selection rows: a small value that later steps follow; judged rows have no part in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from transfuse.evaluation.case import MarginRule
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.metric import metrics_from
from transfuse.steps import Context, Result, _spent, table
from transfuse.steps._case import selected
from transfuse.store import Artifact

REVISION = 2


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`lowest`: the arm with the best selection value over its runs. `economical`: the cheapest one within the margin.
    `first`: the first of earlier choices whose answer is `among` those named. `together`: the answers of all of them.

    Inputs are `fit|ARM|RUN`, and `count|ARM|` for the economical rule, or `choice|NUMBER` in their order for the last
    two. Arms that failed are left out; if none is left the choice is None. Ties go to the name that sorts first, so
    that the order of inputs never matters.
    """
    if params["rule"] in ("first", "together"):
        return {"chosen": _of_choices(params, inputs), "scores": {}, "rule": params["rule"]}, None
    metric = params.get("metric")
    with metrics_from(context.root):
        losses = selection_losses(inputs, metric)
        if not losses:
            return {"chosen": None, "scores": {}, "rule": params["rule"]}, None
        # The usual loss of each kind of task is better where it is lower.
        sign = -1.0 if metric is not None and find_metric(metric).direction == "higher" else 1.0
        best = min(sorted(losses), key=lambda arm: sign * losses[arm])
        chosen: str | None = best
        if params["rule"] == "economical":
            allowed = MarginRule(params["margin"]).value(metric or "log_loss", losses[best])
            within = [arm for arm in losses if sign * losses[arm] <= sign * losses[best] + allowed]
            chosen = _cheapest(within, inputs)
    keys = {role.split("|")[2]: key for role, key in context.keys.items() if role.startswith(f"fit|{chosen}|")}
    return {"chosen": chosen, "scores": losses, "rule": params["rule"], "keys": keys}, None


def _of_choices(params: Mapping[str, Any], inputs: Mapping[str, Artifact]) -> str | None:
    given = [inputs[f"choice|{number}"].meta["chosen"] for number in range(len(inputs))]
    if params["rule"] == "first":
        return next((answer for answer in given if answer in params["among"]), None)
    return None if None in given else params["joint"].join(given)


def selection_losses(inputs: Mapping[str, Artifact], metric: str | None = None) -> dict[str, float]:
    """Mean selection loss by arm over its runs; an arm that failed in one run is out.

    With a metric (then `items` are an input) its values take the place of the usual loss of the task's kind.
    """
    targets = None if metric is None else table(inputs["items"]).targets()
    found: dict[str, list[Artifact]] = {}
    for role, artifact in inputs.items():
        if role.startswith("fit|"):
            found.setdefault(role.split("|")[1], []).append(artifact)
    whole = {arm: runs for arm, runs in found.items() if not any("failed" in run.meta for run in runs)}

    def value(run: Artifact) -> float:
        if metric is None or targets is None:
            return float(run.meta["selection"])
        return selected(run, metric, targets)

    found_values = {arm: sum(value(run) for run in runs) / len(runs) for arm, runs in whole.items()}
    return {arm: mean for arm, mean in found_values.items() if math.isfinite(mean)}


def _cheapest(within: Sequence[str], inputs: Mapping[str, Artifact]) -> str | None:
    counts = {arm: inputs[f"count|{arm}|"] for arm in within if f"count|{arm}|" in inputs}

    def cost(arm: str) -> tuple[float, float, str]:
        fits = [fit for role, fit in inputs.items() if role.startswith(f"fit|{arm}|")]
        flops = sum(_spent.inference(fit, counts[arm]) for fit in fits) / len(fits)
        return flops, counts[arm].meta["parameters"], arm

    return min(counts, key=cost, default=None)
