"""Runs in an environment of its own, where mergekit and PEFT are: what they make of the arrays it is given.

    python oracles.py INPUTS.npz OUTPUTS.npz

Inputs: `base`, `a`, `b`, `c` and, for each, what `kept_` says is not dropped. Outputs by the names that the tests know.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from mergekit import merge_methods
from mergekit.merge_methods import api
from mergekit.sparsify import RescaleNorm, rescaled_masked_tensor
from peft import LoraConfig, get_peft_model
from peft.utils import merge_utils

WEIGHTS = [1.0, 0.5, 2.0]


def mergekit(name, tensors, base=None, **parameters):
    return api.merge_tensors(tensors, merge_methods.get(name), parameters=parameters, base_index=base).numpy()


def of_mergekit(given):
    base, members = given["base"], [given[name] for name in "abc"]
    every = [base, *members]
    yield "mergekit/linear", mergekit("linear", members, weight=WEIGHTS)
    yield "mergekit/slerp", mergekit("slerp", members[:2], base=0, t=0.3)
    yield "mergekit/slerp opposite", mergekit("slerp", [members[0], -members[0]], base=0, t=0.3)
    yield "mergekit/slerp zero", mergekit("slerp", [members[0], torch.zeros_like(base)], base=0, t=0.3)
    yield "mergekit/model_stock", mergekit("model_stock", every, base=0)
    spread = [base, members[0], members[1] - 0.5 * (members[0] - base)]
    yield "mergekit/model_stock beyond", mergekit("model_stock", spread, base=0)
    weights = {"weight": WEIGHTS}
    yield "mergekit/task_arithmetic", mergekit("task_arithmetic", every, base=0, **weights, **{"lambda": 0.3})
    for density in (0.001, 0.2, 0.5, 1.0):
        for normalize in (True, False):
            said = f"mergekit/ties {density} {normalize}"
            yield said, mergekit("ties", every, base=0, **weights, density=density, normalize=normalize)
    for rescale in (True, False):
        norm = RescaleNorm.l1 if rescale else None
        deltas = [
            rescaled_masked_tensor(member - base, given[f"kept_{name}"], norm)
            for name, member in zip("abc", members, strict=True)
        ]
        total = sum(weight * delta for weight, delta in zip(WEIGHTS, deltas, strict=True))
        yield f"mergekit/dare {rescale}", (base + total).numpy()


def of_peft(given):
    base = given["base"]
    taus = [given[name] - base for name in "abc"]
    for weights in (WEIGHTS, [1.0, -0.5, 2.0]):
        told = torch.tensor(weights)
        yield f"peft/task_arithmetic {weights[1]}", (base + merge_utils.task_arithmetic(taus, told)).numpy()
        for density in (0.2, 0.5, 0.999):
            for method in ("total", "frequency"):
                found = base + merge_utils.ties(taus, told, density, method)
                yield f"peft/ties {density} {method} {weights[1]}", found.numpy()
    masks = iter([given[f"kept_{name}"] for name in "abc"])
    drawn, torch.bernoulli = torch.bernoulli, lambda *_: next(masks)
    try:
        yield "peft/dare", (base + merge_utils.dare_linear(taus, torch.tensor(WEIGHTS), 0.25)).numpy()
    finally:
        torch.bernoulli = drawn


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.conv, self.head = torch.nn.Linear(6, 5), torch.nn.Conv2d(2, 4, 3), torch.nn.Linear(5, 3)


def of_adapters(folder):
    """Adapters as PEFT writes them, and what PEFT itself adds to the base."""
    for name, more in {
        "plain": {},
        "rslora": {"use_rslora": True},
        "patterns": {"rank_pattern": {"q": 1}, "alpha_pattern": {"conv": 3}},
    }.items():
        torch.manual_seed(0)
        net = Net()
        before = {key: value.clone() for key, value in net.state_dict().items()}
        config = LoraConfig(r=2, lora_alpha=8, target_modules=["q", "conv"], modules_to_save=["head"], **more)
        adapted = get_peft_model(net, config)
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.normal_()
        adapted.save_pretrained(folder / name)
        yield from ((f"lora/{name}/base/{key}", value.numpy()) for key, value in before.items())
        whole = adapted.merge_and_unload().state_dict()
        yield from ((f"lora/{name}/whole/{key}", value.detach().numpy()) for key, value in whole.items())


if __name__ == "__main__":
    arrays = {name: torch.from_numpy(array) for name, array in np.load(sys.argv[1]).items()}
    out = Path(sys.argv[2])
    found = {**dict(of_mergekit(arrays)), **dict(of_peft(arrays)), **dict(of_adapters(out.parent))}
    np.savez(out, **{json.dumps(name): value for name, value in found.items()})
