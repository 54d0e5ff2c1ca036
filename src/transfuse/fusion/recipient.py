"""Without this, a user's own network could receive sources only by starting over: anew, as a copy, without its past."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.reads import RECIPIENT
from transfuse.source.base import Source
from transfuse.source.open import make_card


def received(module: nn.Module, *, canvas: int, prepare: Mapping[str, Any] | None = None) -> Source:
    """The user's network behind a source's door; it is the very module, not a copy, so an optimiser of it goes on."""
    if isinstance(module, Source):
        return module
    card = make_card(RECIPIENT, module, root=Path(), canvas=canvas, prepare=prepare, seen="none")
    return Source(card, module)


def take_over(module: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Put every tensor of `state` into the module that has its name and its shape; gives their names.

    Wrappers' prefixes (`module.`, `_orig_mod.`) are left out. Raises UserError where nothing overlaps.
    """
    named = {name.removeprefix("module.").removeprefix("_orig_mod."): value for name, value in state.items()}
    own = module.state_dict()
    found = [name for name, value in own.items() if name in named and named[name].shape == value.shape]
    if not found:
        raise UserError(
            "nothing of the source overlaps with the recipient by name and shape",
            got=f"the recipient has {', '.join(list(own)[:3])}; the source has {', '.join(list(named)[:3])}",
        )
    with torch.no_grad():
        for name in found:
            own[name].copy_(named[name])
    return found


def carry_on(optimiser: torch.optim.Optimizer, fused: nn.Module, **settings: Any) -> int:
    """Let the optimiser of a half-trained recipient go on with all that is new beside it; gives the number of tensors.

    What it trains already keeps its state (moments, steps) and settings; what is new and not frozen becomes a group of
    its own with these `settings` (`lr` and so on).
    """
    known = {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
    new = [one for one in fused.parameters() if one.requires_grad and id(one) not in known]
    if new:
        optimiser.add_param_group({"params": new, **settings})
    return len(new)
