"""Members brought into one order of hidden units before they are merged, and the proof that nothing else changed.

Every member is turned towards the base where there is one, else towards the first member. A turned network must give
what it gave on a batch, or nothing is merged. A lens that changes widths (trait `resizes`) cannot promise that: how far
it is off is told.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.errors import UserError, many_problems, unknown_name
from transfuse.fusion.buffers import COUNTER
from transfuse.fusion.preflight import START, misfits
from transfuse.fusion.resizing import ResizedReader, require_alike
from transfuse.fusion.turning import Turn, TurnedReader, turned_statistic
from transfuse.registry import Entry, shelf
from transfuse.seeds import stream
from transfuse.source.hidden_units.groups import Groups, find_groups
from transfuse.source.weights import Reader, StateReader

SHELF = "fusion/align"
# Largest difference of a turned network's outputs, as a share of the largest output: more is another function.
TOLERANCE = 1e-4

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Aligned:
    """Members as readers in one order, each one's turn, and the statistics turned with them.

    `moved` is the share of blocks that went to another place; `gaps` tells of members that were brought to other widths
    how far their answers are from what they were, as a share of the largest.
    """

    groups: Groups
    members: dict[str, Reader]
    turns: dict[str, Turn]
    moved: dict[str, float]
    gaps: dict[str, float]

    def statistics(self, need: str, of: Mapping[str, Tensors]) -> dict[str, dict[str, np.ndarray]]:
        """Each member's statistic in the members' order: forgotten, it would weigh one unit by another's data."""
        if self.gaps and of:
            raise UserError(
                f"'{need}' of a network of other widths does not tell of the units it is brought to",
                got=f"sources {', '.join(self.gaps)}",
                hint="merge by a method that needs no statistics, such as weights/mean",
            )
        return {
            member: {
                name: turned_statistic(self.groups, self.turns[member], need, name, array)
                if member in self.turns
                else array
                for name, array in found.items()
            }
            for member, found in of.items()
        }


def aligning(name: str) -> Entry:
    """A lens maker by name; raises UserError with the nearest where there is none."""
    known = shelf(SHELF)
    short = name.removeprefix("align/")
    if short not in known:
        raise unknown_name("way of aligning", name, known)
    return known[short]


def align(
    how: Entry,
    network: nn.Module,
    members: Mapping[str, Reader],
    example: Tensor,
    *,
    base: Reader | None = None,
    stat: Mapping[str, Mapping[str, Tensors]] | None = None,
    seed: int = 0,
    networks: Mapping[str, nn.Module] | None = None,
) -> Aligned:
    """Members turned into one order. `network` is of their architecture; `example` [N, ...] is what it takes.

    `networks` are the members' own, which a lens maker that resizes needs; the first is then the one that is kept.
    `stat[need][member]` is what the maker's `NEEDS` ask for, of the base under `preflight.START`. Raises UserError for
    a network that cannot be traced, a missing statistic, and a turned network that computes something else.
    """
    given = how.settings({})
    if not how.traits.get("resizes"):
        _require_of(network, members, base)
    groups = find_groups(network, example)
    kept_name = START if base is not None else next(iter(members))
    kept = _tensors(base if base is not None else members[kept_name])
    made = Aligned(groups, dict(members), {}, {}, {})
    for name, reader in members.items():
        if name == kept_name:
            continue
        state = _tensors(reader)
        pair = {need: _pair(how, need, stat or {}, kept_name, name) for need in how.needs}
        if how.traits.get("resizes"):
            own = _own(how, networks or {}, name)
            others = find_groups(own, example)
            require_alike(groups, others, name)
            maps = how.load().match(groups, kept, state, pair, stream(seed, "align", name), others=others, **given)
            made.members[name] = ResizedReader(reader, others, maps)
            made.gaps[name] = gap(own, reader, network, made.members[name], example)
            continue
        turn = how.load().match(groups, kept, state, pair, stream(seed, "align", name), **given)
        lens = TurnedReader(reader, groups, turn)
        prove(network, reader, lens, example, name)
        made.members[name], made.turns[name] = lens, turn
        moved = [np.mean(blocks != np.arange(len(blocks))) for blocks in turn.blocks]
        made.moved[name] = float(np.mean(moved))
    return made


def _require_of(network: nn.Module, members: Mapping[str, Reader], base: Reader | None) -> None:
    """All checkpoints have the network's tensors; counters, which older files lack, may be missing."""
    problems = misfits({"the network": StateReader(network.state_dict(), "the network"), **members}, base)
    if problems := [problem for problem in problems if f"{COUNTER}' is missing" not in problem]:
        raise many_problems(
            "the checkpoints are none of this network", problems, hint="name the network that they belong to"
        )


def _tensors(reader: Reader) -> dict[str, np.ndarray]:
    return {name: np.asarray(reader.read(name)) for name in reader.names()}


def _pair(
    how: Entry, need: str, stat: Mapping[str, Mapping[str, Tensors]], kept: str, other: str
) -> tuple[Tensors, Tensors]:
    of = stat.get(need, {})
    if lacking := [name for name in (kept, other) if name not in of]:
        raise UserError(
            f"{how.full_name} needs '{need}' of every network",
            got=f"none of {', '.join(lacking)}",
            hint="give images: data= in Python, a recipe's rows; or align by weight_matching",
        )
    return of[kept], of[other]


def _own(how: Entry, networks: Mapping[str, nn.Module], name: str) -> nn.Module:
    if name not in networks:
        raise UserError(
            f"{how.full_name} changes widths, so it needs every network itself",
            where=f"source '{name}'",
            hint="transfuse.merge(..., data=images) with modules, or a recipe",
        )
    return networks[name]


def prove(network: nn.Module, before: Reader, after: Reader, example: Tensor, name: str) -> None:
    """Raises UserError where the weights in the new order do not compute on `example` what they did in the old."""
    found = gap(network, before, network, after, example)
    if not found <= TOLERANCE:
        raise UserError(
            "the network computes something else once its units are reordered, so it is not merged",
            where=f"source '{name}'",
            expected=f"a difference of at most {TOLERANCE:g} of its largest output",
            got=f"{found:.3g}",
        )


def gap(first: nn.Module, before: Reader, second: nn.Module, after: Reader, example: Tensor) -> float:
    """The largest difference of what two networks with these weights give, as a share of the first's largest output."""
    outputs = []
    for network, reader in ((first, before), (second, after)):
        twin = copy.deepcopy(network).eval()
        own = twin.state_dict()
        twin.load_state_dict({key: torch.from_numpy(np.array(reader.read(key))).to(own[key].dtype) for key in own})
        with torch.no_grad():
            outputs.append(twin(example.clone()).double())
    return float((outputs[0] - outputs[1]).abs().max()) / max(float(outputs[0].abs().max()), 1e-30)
