"""Counted cost of an arm: parameters that run, and FLOPs of one item (2 per multiply-add), without training it.

Counts are exact and the same on every machine, so they may carry a verdict; seconds may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transfuse.steps import Context, Result, failed, failure
from transfuse.steps._fitted import matched
from transfuse.store import Artifact

if TYPE_CHECKING:
    from torch import Tensor, nn

REVISION = 3
NEEDS = ("torch",)
NOTHING = {"parameters": 0, "trainable_parameters": 0, "inference_flops": 0, "member_flops": 0, "step_flops": 0}


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`step_flops` is one item's forward and backward in the arm's regime; `member_flops` what frozen members cost.

    Of a pool `member_costs` are its members' FLOPs of one item; `inference_flops` is their sum, as if all were asked.
    """
    if reason := failure(inputs):
        return failed(reason)
    params = matched(params, inputs)
    if params["kind"] == "prior":
        return dict(NOTHING), None
    if params["kind"] in ("compress", "retrain"):
        return _compressed([artifact.meta for artifact in inputs.values()], params["kind"]), None
    if params["kind"] == "pool":
        found = [inputs[f"member{index}"].meta for index in range(len(inputs))]
        total = {name: sum(member[name] for member in found) for name in NOTHING}
        return {**total, "member_costs": [member["inference_flops"] for member in found]}, None

    import torch

    from transfuse.source.door import example
    from transfuse.steps import _networks

    if params["kind"] == "as_is":
        source = _networks.source(_networks.cards(inputs)[0], context)
        canvas = example(source.card.field, 1, params["canvas"])
        source.freeze(None)
        flops = forward_flops(source, canvas)
        return {
            **NOTHING,
            "parameters": used_parameters(source, canvas),
            "inference_flops": flops,
            "member_flops": flops,
        }, None
    network = _networks.whole(params, inputs, context, _networks.new_crown(params, inputs, 0, context))
    canvas = example(network.card.field, 1, params["canvas"])
    frozen = params["regime"] == "frozen"
    for member in network.members.values() if frozen else []:
        member.freeze(None)  # pyright: ignore[reportCallIssue]
    for until in (params["until"] or "").split(",") if params["until"] else []:
        network.freeze(until.strip())
    flops = forward_flops(network, canvas)
    with torch.no_grad():
        blocks = network.eval().member_blocks(canvas)
    crown_flops = forward_flops(network.crown, blocks)
    # Training goes through one network at a time.
    network.crown.passes = 0
    return {
        "parameters": used_parameters(network, canvas),
        "trainable_parameters": sum(entry.numel() for entry in network.parameters() if entry.requires_grad),
        "inference_flops": flops,
        "member_flops": flops - crown_flops,
        "step_flops": step_flops(network.crown, blocks) if frozen else step_flops(network, canvas),
    }, None


def _compressed(fits: list[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """What was counted of the compressed networks of all runs, the dearest first; `step_flops` is what one row cost
    that it was shown, or one that it was trained on."""
    found = max((fit["counted"] for fit in fits), key=lambda each: (each["inference_flops"], each["stored_bytes"]))
    trained = kind == "retrain"
    return {
        **NOTHING,
        "parameters": found["parameters"],
        "trainable_parameters": found["parameters"] if trained else 0,
        "inference_flops": found["inference_flops"],
        # A backward pass costs twice a forward one, but for the first layer.
        "step_flops": 3 * found["inference_flops"] if trained else found["member_step_flops"],
        "stored_bytes": found["stored_bytes"],
    }


def forward_flops(network: nn.Module, batch: Tensor | list[Tensor]) -> int:
    """FLOPs of one forward pass in evaluation mode; what a network computes once for all items is not counted."""
    import torch

    from transfuse.steps._flops import counting

    network.eval()
    with torch.no_grad():
        network(batch)
        with counting() as counter:
            network(batch)
    return counter.total


def step_flops(network: nn.Module, batch: Tensor | list[Tensor]) -> int:
    """FLOPs of one forward and backward pass: what training one item costs."""
    from transfuse.steps._flops import counting

    network.eval()
    with counting() as counter:
        network(batch).sum().backward()
    network.zero_grad(set_to_none=True)
    return counter.total


def used_parameters(network: nn.Module, canvas: Tensor) -> int:
    """Parameters of the modules that run in a forward pass: a classifier that is never reached is not counted."""
    import torch

    seen: dict[int, int] = {}

    def note(module: nn.Module, _: Any) -> None:
        for parameter in (*module.parameters(recurse=False), *getattr(module, "loose", list)()):
            seen[id(parameter)] = parameter.numel()

    handles = [module.register_forward_pre_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(canvas)
    finally:
        for handle in handles:
            handle.remove()
    return sum(seen.values())
