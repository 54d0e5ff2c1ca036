"""What an optimiser knew before: without this file a half-trained network would go on with its moments forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from transfuse.train.adamw import AdamW

# What was known of each parameter of a network: `step`, `exp_avg`, `exp_avg_sq`.
Past = Mapping[nn.Parameter, Mapping[str, Tensor]]
PastOf = Callable[[nn.Module], Past]


def unknown(model: nn.Module) -> Past:
    """Nothing: every parameter begins."""
    return {}


def go_on(optimiser: AdamW | torch.optim.Optimizer, past: Past) -> int:
    """Give an Adam optimiser back what it knew of the parameters that it trains; gives their number."""
    trained = [parameter for group in optimiser.param_groups for parameter in group["params"] if parameter in past]
    for parameter in trained:
        known = past[parameter]
        optimiser.state[parameter] = {
            "step": known["step"].to(parameter.device, torch.float32, copy=True).reshape(()),
            **{name: known[name].to(parameter, copy=True) for name in ("exp_avg", "exp_avg_sq")},
        }
    return len(trained)
