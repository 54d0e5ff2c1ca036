"""A choice on selection rows: a small value that later steps follow; judged rows have no part in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.steps import _spent
from transfuse.steps._context import Context, Result
from transfuse.store import Artifact

REVISION = 2


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`lowest`: the arm with the lowest selection loss over its runs. `economical`: the cheapest one within the margin.
    `first`: the first of earlier choices whose answer is `among` those named. `together`: the answers of all of them.

    Inputs are `fit|ARM|RUN`, and `count|ARM|` for the economical rule, or `choice|NUMBER` in their order for the last
    two. Arms that failed are left out; if none is left the choice is None. Ties go to the name that sorts first, so
    that the order of inputs never matters.
    """
    if params["rule"] in ("first", "together"):
        return {"chosen": _of_choices(params, inputs), "scores": {}, "rule": params["rule"]}, None
    losses = selection_losses(inputs)
    if not losses:
        return {"chosen": None, "scores": {}, "rule": params["rule"]}, None
    best = min(sorted(losses), key=lambda arm: losses[arm])
    chosen: str | None = best
    if params["rule"] == "economical":
        chosen = _cheapest(losses, losses[best], params["margin"], inputs)
    keys = {role.split("|")[2]: key for role, key in context.keys.items() if role.startswith(f"fit|{chosen}|")}
    return {"chosen": chosen, "scores": losses, "rule": params["rule"], "keys": keys}, None


def _of_choices(params: Mapping[str, Any], inputs: Mapping[str, Artifact]) -> str | None:
    given = [inputs[f"choice|{number}"].meta["chosen"] for number in range(len(inputs))]
    if params["rule"] == "first":
        return next((answer for answer in given if answer in params["among"]), None)
    return None if None in given else params["joint"].join(given)


def selection_losses(inputs: Mapping[str, Artifact]) -> dict[str, float]:
    """Mean selection loss by arm over its runs; an arm that failed in one run is out."""
    found: dict[str, list[Artifact]] = {}
    for role, artifact in inputs.items():
        if role.startswith("fit|"):
            found.setdefault(role.split("|")[1], []).append(artifact)
    whole = {arm: runs for arm, runs in found.items() if not any("failed" in run.meta for run in runs)}
    return {arm: sum(run.meta["selection"] for run in runs) / len(runs) for arm, runs in whole.items()}


def _cheapest(
    losses: Mapping[str, float], best: float, margin: str | float, inputs: Mapping[str, Artifact]
) -> str | None:
    from transfuse.evaluation.case import MarginRule

    allowed = best + MarginRule(margin).value("log_loss", best)
    within = [arm for arm, loss in losses.items() if loss <= allowed]
    counts = {arm: inputs[f"count|{arm}|"] for arm in within if f"count|{arm}|" in inputs}

    def cost(arm: str) -> tuple[float, float, str]:
        fits = [fit for role, fit in inputs.items() if role.startswith(f"fit|{arm}|")]
        flops = sum(_spent.inference(fit, counts[arm]) for fit in fits) / len(fits)
        return flops, counts[arm].meta["parameters"], arm

    return min(counts, key=cost, default=None)
