"""From the key of a fitted arm back to a model that predicts: what is shipped, measured and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from transfuse.fusion import saved
from transfuse.fusion.fused import Fused
from transfuse.fusion.pooled import Narrowed, Pool
from transfuse.source import layout
from transfuse.source.base import Source
from transfuse.source.shrunk import shrink
from transfuse.source.weights import fill
from transfuse.steps import Context, _networks
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
    if kind in ("compress", "retrain"):
        return compressed(fit, context)
    return network(params, inputs, fit, context, name)


def compressed(fit: Artifact, context: Context) -> Source:
    """A compressed network: built by its description, in the shapes of its tensors, and filled with these."""
    where = "the compressed network in the store"
    state = {role.removeprefix("state/"): array for role, array in fit.arrays.items() if role.startswith("state/")}
    made = saved.build(fit.meta["model"], context.root, context.modules)
    if fit.meta["shrunk"]:
        shrink(made, {name: array.shape for name, array in state.items()}, where)
    fill(made, {name: torch.from_numpy(array) for name, array in state.items()}, where)
    made.kind = task_of(fit)
    return laid_out(made)


def laid_out(model: Source) -> Source:
    """The network as convolutions run fastest, in evaluation mode."""
    return layout.laid_out(model).eval()


def state_of(model: Source) -> dict[str, np.ndarray]:
    """A network's tensors for the store; bfloat16 stands in float32, which holds it exactly."""
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    return {
        f"state/{name}": (value.float() if value.dtype == torch.bfloat16 else value).contiguous().numpy()
        for name, value in state.items()
    }


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
