"""Without this, a user's own network could receive sources only by starting over: anew, as a copy, without its past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.fusion.widths import resized, widths
from transfuse.reads import RECIPIENT
from transfuse.seeds import stream
from transfuse.source.base import Source
from transfuse.source.hidden_units.groups import find_groups
from transfuse.source.open import make_card
from transfuse.source.sections import look


def received(module: nn.Module, *, canvas: int, prepare: Mapping[str, Any] | None = None) -> Source:
    """The user's network behind a source's door; it is the very module, not a copy, so an optimiser of it goes on."""
    if isinstance(module, Source):
        return module
    card = make_card(RECIPIENT, module, root=Path(), canvas=canvas, prepare=prepare, seen="none")
    return Source(card, module)


@dataclass(frozen=True)
class Taken:
    """What a recipient starts with of a source: names of tensors taken as they are, and of those whose units were
    copied or chosen; `widths` are the (old, new) numbers of units, `why` says what kept widths from being followed."""

    same: tuple[str, ...]
    fitted: tuple[str, ...] = ()
    widths: tuple[tuple[int, int], ...] = ()
    why: str = ""

    def record(self) -> dict[str, Any]:
        """Plain values: counts, and the widths that changed."""
        counts = {"same": len(self.same), "fitted": len(self.fitted)}
        return {**counts, "widths": [list(pair) for pair in self.widths], "why": self.why}


def take_over(module: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Put every tensor of `state` into the module that has its name and its shape; gives their names.

    Wrappers' prefixes (`module.`, `_orig_mod.`) are left out. Raises UserError where nothing overlaps.
    """
    named, own = _unwrapped(state), module.state_dict()
    found = _put(own, named)
    if not found:
        raise _nothing(own, named)
    return found


def start_from(recipient: Source, source: Source, *, seed: int = 0) -> Taken:
    """Let a recipient start with a source's layers of the same names: as they are where shapes agree, grown or narrowed
    where only widths differ (`widths.py`; which units are copied is drawn from `seed`).

    Raises UserError where nothing overlaps. Widths of a network that cannot be traced are not followed.
    """
    given, own = _unwrapped(source.network.state_dict()), recipient.network.state_dict()
    shapes = {name: tuple(value.shape) for name, value in own.items()}
    other = [name for name in own if name in given and given[name].shape != own[name].shape]
    if not other:
        return Taken(tuple(take_over(recipient.network, given)))
    try:
        groups = find_groups(source.network, source.prepared(look(source)), where=source.where)
    except UserError as error:
        return Taken(tuple(take_over(recipient.network, given)), why=f"{error.what}: {error.got or ''}")
    arrays = {name: value.detach().cpu().numpy() for name, value in given.items()}
    made = widths(source.network, groups, arrays, shapes, stream(seed, "widths"))
    fitted = {name: resized(source.network, groups, made, name, array) for name, array in arrays.items() if name in own}
    found = _put(own, {name: torch.from_numpy(array) for name, array in fitted.items()})
    if not found:
        raise _nothing(own, given)
    changed = [name for name in found if not np.array_equal(fitted[name], arrays[name])]
    same = tuple(name for name in found if name not in changed)
    return Taken(same, tuple(changed), tuple(made.changed(groups)))


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("module.").removeprefix("_orig_mod."): value for name, value in state.items()}


def _put(own: Mapping[str, Tensor], named: Mapping[str, Tensor]) -> list[str]:
    """Copy what has the same name and shape; gives the names."""
    found = [name for name, value in own.items() if name in named and named[name].shape == value.shape]
    with torch.no_grad():
        for name in found:
            own[name].copy_(named[name])
    return found


def _nothing(own: Mapping[str, Tensor], named: Mapping[str, Tensor]) -> UserError:
    return UserError(
        "nothing of the source overlaps with the recipient by name and shape",
        got=f"the recipient has {', '.join(list(own)[:3])}; the source has {', '.join(list(named)[:3])}",
    )


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


def moments_of(module: nn.Module, past: Mapping[str, Any], where: str) -> dict[nn.Parameter, dict[str, Tensor]]:
    """What an Adam optimiser knew of each parameter of the module, from its `state_dict()`.

    Parameters are found by `param_names` where the optimiser was given names, else by their order in the module, which
    takes one group of all of them. Raises UserError where that cannot be, and for moments of another kind.
    """
    parameters = dict(module.named_parameters())
    numbers = [number for group in past["param_groups"] for number in group["params"]]
    named = [name for group in past["param_groups"] for name in group.get("param_names", [])]
    names = named or list(parameters)
    if not named and len(past["param_groups"]) > 1:
        hint = "make the optimiser from named_parameters(), or with one group"
        raise UserError("an optimiser of several groups does not say whose its moments are", where=where, hint=hint)
    if len(names) != len(numbers) or not set(names) <= set(parameters):
        raise UserError(
            "this optimiser is not of this network", where=where, expected=f"{len(parameters)} parameters",
            got=f"{len(numbers)}",
        )  # fmt: skip
    found = {}
    for name, number in zip(names, numbers, strict=True):
        kept = past["state"].get(number)
        if kept is None:
            continue
        parameter = parameters[name]
        if not {"step", "exp_avg", "exp_avg_sq"} <= set(kept):
            raise UserError(
                "only Adam's moments can be gone on with", where=where, expected="step, exp_avg, exp_avg_sq",
                got=", ".join(sorted(map(str, kept))), hint="save the weights alone to start a new optimiser",
            )  # fmt: skip
        if kept["exp_avg"].shape != parameter.shape:
            raise UserError(
                "this optimiser is not of this network", where=f"{where}, '{name}'",
                expected=str(list(parameter.shape)), got=str(list(kept["exp_avg"].shape)),
            )  # fmt: skip
        found[parameter] = {key: torch.as_tensor(kept[key]) for key in ("step", "exp_avg", "exp_avg_sq")}
    return found
