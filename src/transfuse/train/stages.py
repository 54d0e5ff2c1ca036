"""Which part of a pretrained member learns when, and how fast; without this file a member would be one lump.

A member falls into stages at the ends that its card tells (`levels.stage_ends`). Gradual unfreezing lets its last one
learn first and one more after every `thaw_epochs` epochs (Howard, Ruder, ACL 2018); head first lets only what is new
learn for `thaw_epochs` epochs, then everything (Kumar et al., ICLR 2022). What sleeps is held as a frozen part is:
parameters, statistics and dropout. Layer-wise decay multiplies the learning rate of each stage by `layer_decay` once
for every stage above it (Clark et al., ELECTRA, ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from transfuse.levels import stage_ends
from transfuse.schedules import Schedule


@dataclass
class Stage:
    """One stage of one member: `height` 0 is its last one. What was frozen before belongs to no stage."""

    height: int
    parameters: list[nn.Parameter]
    modules: list[nn.Module]


def staged(member: Any) -> list[Stage]:
    """The stages of a member from its first to its last; one stage where its card tells no ends."""
    free = {id(each): each for each in member.parameters() if each.requires_grad}
    awake = {id(each): each for each in member.modules() if not getattr(each, "held", False)}
    found: list[tuple[list[nn.Parameter], list[nn.Module]]] = []
    for end in stage_ends(member.card)[:-1]:
        modules, parameters = member.behind(end)
        inner = [part for module in modules for part in module.modules()]
        upstream = [*parameters, *(parameter for part in inner for parameter in part.parameters(recurse=False))]
        found.append((_taken(free, upstream), _taken(awake, inner)))
    found.append(([*free.values()], [*awake.values()]))
    return [Stage(len(found) - 1 - index, *parts) for index, parts in enumerate(found)]


def _taken(pool: dict[int, Any], wanted: list[Any]) -> list[Any]:
    return [pool.pop(id(each)) for each in wanted if id(each) in pool]


def members(model: nn.Module) -> Iterator[Any]:
    """The members of a network; a crown alone has none."""
    found = getattr(model, "members", None)
    yield from found.values() if isinstance(found, nn.ModuleDict) else ()


class Stages:
    """The stages of all members of a network."""

    def __init__(self, model: nn.Module, schedule: Schedule) -> None:
        self.schedule = schedule
        wanted = schedule.thaw != "at_once" or schedule.layer_decay != 1.0
        self.all = [stage for member in members(model) for stage in staged(member)] if wanted else []
        self.heights = {id(parameter): stage.height for stage in self.all for parameter in stage.parameters}

    def slowing(self, parameter: nn.Parameter) -> float:
        """What the learning rate of a member's parameter is multiplied by; 1 in its last stage."""
        return self.schedule.layer_decay ** self.heights.get(id(parameter), 0)

    def thaw(self, epoch: int) -> None:
        """Before an epoch (from 1): what sleeps in it, and what wakes. Training modes follow at the next `train()`."""
        if self.schedule.thaw == "at_once":
            return
        passed = (epoch - 1) // self.schedule.thaw_epochs
        for stage in self.all:
            awake = passed > stage.height if self.schedule.thaw == "gradual" else passed > 0
            for parameter in stage.parameters:
                parameter.requires_grad_(awake)
            for module in stage.modules:
                module.held = not awake  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
