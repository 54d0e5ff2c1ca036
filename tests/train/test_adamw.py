"""Each step is PyTorch's own AdamW to the bit, groups, rates, late wakers and all."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from transfuse.train.adamw import AdamW

STEPS, DECAY, WAKES = 30, 0.3, 10


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 3))


def split(model: nn.Sequential) -> list[dict]:
    return [
        {"params": list(model[0].parameters()), "lr": 1e-3},
        {"params": list(model[1].parameters()), "lr": 1e-2, "weight_decay": 0.0},
        {"params": list(model[3].parameters()), "lr": 1e-2},
    ]


def share(step: int) -> float:
    return 1.0 - step / (2 * STEPS)


def trained(model: nn.Sequential, move, forget) -> dict[str, torch.Tensor]:
    """Weights after some steps; the first layer wakes late."""
    draws = torch.Generator().manual_seed(1)
    model[0].requires_grad_(False)
    for step in range(STEPS):
        model[0].requires_grad_(step >= WAKES)
        forget()
        loss = model(torch.randn(8, 1, 5, 5, generator=draws)).square().mean()
        loss.backward()
        move(step)
    return model.state_dict()


def test_weights_are_those_of_torchs_optimiser_to_the_bit():
    ours, theirs = network(), network()
    optimiser = AdamW(split(ours), weight_decay=DECAY)
    oracle = torch.optim.AdamW(split(theirs), weight_decay=DECAY, fused=True)
    planner = torch.optim.lr_scheduler.LambdaLR(oracle, share)
    found = trained(ours, lambda step: optimiser.step(share(step)), optimiser.zero_grad)
    wanted = trained(theirs, lambda step: (oracle.step(), planner.step()), oracle.zero_grad)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert not torch.equal(found["0.weight"], network().state_dict()["0.weight"]), "it did learn"
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        for name, value in oracle.state[other].items():
            assert torch.equal(optimiser.state[parameter][name], value), name


def test_what_has_no_gradient_stays_and_is_not_known():
    model = network()
    optimiser = AdamW(split(model), weight_decay=DECAY)
    before = model[0].weight.clone()
    model[3](torch.ones(1, 36)).sum().backward()
    optimiser.step(1.0)
    assert torch.equal(model[0].weight, before)
    assert set(optimiser.state) == set(model[3].parameters())


def test_neither_training_nor_counting_imports_the_compiler():
    train = (
        "import torch, sys; from transfuse.train.adamw import AdamW; from transfuse.steps.count import step_flops; "
        "layer = torch.nn.Linear(2, 2); step_flops(torch.nn.Linear(2, 2), torch.ones(1, 2)); "
        "optimiser = AdamW([{'params': layer.parameters(), 'lr': 0.1}], weight_decay=0.1); "
        "layer(torch.ones(1, 2)).sum().backward(); optimiser.step(1.0); optimiser.zero_grad(); "
        "sys.exit('torch._dynamo' in sys.modules or layer.weight.grad is not None)"
    )
    assert subprocess.run([sys.executable, "-c", train], check=False).returncode == 0
