"""From the key of a fitted arm back to a model that predicts: what is shipped, measured and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.fusion.fused import Fused
from transfuse.fusion.pooled import Narrowed, Pool
from transfuse.source.base import Source
from transfuse.steps import _networks
from transfuse.steps._context import Context
from transfuse.steps._fitted import task_of
from transfuse.store import Artifact


def opened(key: str, context: Context, name: str) -> Source:
    """The model of a fitted arm, in evaluation mode, without its temperature."""
    fit = context.store.need(key)
    made = fit.meta["made_of"]
    params = made["params"]
    inputs = {
        role: context.store.need(made["keys"][role])
        for role in made["keys"]
        if role.startswith(("card", "recipient", "merged"))
    }
    kind = fit.meta["kind"]
    if kind == "as_is":
        source, opening = _networks.merged(_networks.cards(inputs)[0], inputs, context), fit.arrays.get("state/opening")
        narrowed = Narrowed(source, params["classes"], params.get("columns"), opening)
        narrowed.kind = task_of(fit)
        return narrowed.eval()
    if kind == "pool":
        count = sum(role.startswith("member") for role in made["keys"])
        members = [opened(made["keys"][f"member{index}"], context, f"{name}.{index}") for index in range(count)]
        state = {role.removeprefix("state/"): array for role, array in fit.arrays.items() if role.startswith("state/")}
        return Pool(name, members, params["method"], state, task_of(fit)).eval()
    return network(params, inputs, fit, context, name)


def network(
    params: Mapping[str, Any], inputs: Mapping[str, Artifact], fit: Artifact, context: Context, name: str
) -> Fused:
    """A trained network: the crown's tensors are the fit's, and the members' too where they were trained."""
    crown = _networks.new_crown(params, inputs, params["seed"], context)
    frozen = params["schedule"]["regime"] == "frozen"
    if frozen:
        _networks.load_arrays(crown, fit)
    made = _networks.whole(params, inputs, context, crown, name)
    if not frozen:
        _networks.load_arrays(made, fit)
    return made.eval()
