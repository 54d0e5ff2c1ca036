"""Merging in Python: modules or state dicts in, the same kind out, aligned, repaired and weighed by data."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.errors import UserError
from transfuse.registry import Entry, find

if TYPE_CHECKING:
    from torch import Tensor, nn

    from transfuse.source.weights import Reader

SEED = 0
# Over the images, where coefficients learn.
PASSES = 20


@dataclass(frozen=True)
class Wanted:
    """What is asked of a merge beside its members: base, weights, a way of aligning, images, the method's settings."""

    base: Any = None
    weights: Sequence[float] | str | None = None
    align: str = "none"
    data: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def merged(entry: Entry, given: Mapping[str, Any], wanted: Wanted) -> Any:
    """The merge of modules or state dicts, as the first one's kind. Raises UserError for what does not go together."""
    import torch

    from transfuse.fusion.weights_lift import merge_states

    first = next(iter(given.values()))
    members = {name: _reader(name, one) for name, one in given.items()}
    base = None if wanted.base is None else _reader("base", wanted.base)
    batches = _batches(wanted.data)
    networks = _networks(entry, given, wanted, batches)
    if batches and not networks and not isinstance(first, torch.nn.Module):
        raise UserError("a state dict cannot be run, so images would change nothing", got="data", hint="give modules")
    stats = {need: _collected(need, networks, batches) for need in entry.needs} if networks else {}
    if wanted.align != "none":
        members, stats = _aligned(wanted, members, base, networks, batches, stats)
    if isinstance(wanted.weights, str):
        return _learned(entry, wanted, members, base, next(iter(networks.values())), batches)
    states = {name: {key: reader.read(key) for key in reader.names()} for name, reader in members.items()}
    start = None if base is None else {key: base.read(key) for key in base.names()}
    found = merge_states(
        entry, states, weights=wanted.weights, base=start, settings=wanted.settings, seed=SEED, stats=stats
    )
    own = first.state_dict() if isinstance(first, torch.nn.Module) else first
    state = {name: torch.from_numpy(found[name]).to(torch.as_tensor(own[name]).dtype) for name in own}
    if not isinstance(first, torch.nn.Module):
        return state
    result = copy.deepcopy(first)
    result.load_state_dict(state)
    if batches:
        from transfuse.fusion.repair import re_estimate

        re_estimate(result, batches)
    return result


def _reader(name: str, given: Any) -> Reader:
    import torch

    from transfuse.source.weights import StateReader

    state = given.state_dict() if isinstance(given, torch.nn.Module) else given
    if not isinstance(state, Mapping):
        raise UserError(
            "only modules and state dicts can be merged", where=f"source '{name}'", got=type(given).__name__
        )
    return StateReader({key: torch.as_tensor(value) for key, value in state.items()}, f"source '{name}'")


def _batches(data: Any) -> list[Tensor]:
    """Images in batches: one tensor [N, ...], or several."""
    import torch

    given = (
        [] if data is None else [data] if isinstance(data, torch.Tensor) or hasattr(data, "__array__") else list(data)
    )
    batches = [torch.as_tensor(batch) for batch in given]
    if any(batch.dim() < 2 for batch in batches):
        raise UserError("data are images as the networks take them", expected="a tensor [N, ...], or a list of them")
    return batches


def _networks(
    entry: Entry, given: Mapping[str, Any], wanted: Wanted, batches: Sequence[Tensor]
) -> dict[str, nn.Module]:
    """The members as modules where something needs them; none where nothing does."""
    import torch

    chooser = wanted.weights if isinstance(wanted.weights, str) else ""
    if wanted.align == "none" and not entry.needs and not chooser:
        return {}
    what = f"aligning by {wanted.align}" if wanted.align != "none" else chooser or entry.full_name
    loose = [name for name, one in given.items() if not isinstance(one, torch.nn.Module)]
    if loose or not batches:
        got = f"state dicts: {', '.join(loose)}" if loose else "no data"
        raise UserError(f"{what} needs modules and some images", got=got, hint="merge(..., data=images) with modules")
    return dict(given)


def _learned(
    entry: Entry,
    wanted: Wanted,
    members: Mapping[str, Reader],
    base: Reader | None,
    network: nn.Module,
    batches: Sequence[Tensor],
) -> nn.Module:
    """A merge whose coefficients learn from the images, as a module like the first."""
    import torch

    from transfuse.fusion.learned import Blend
    from transfuse.fusion.preflight import check
    from transfuse.fusion.repair import re_estimate

    chooser = find("choosers", str(wanted.weights))
    if not chooser.traits.get("learns"):
        raise UserError(
            f"{chooser.name} scores merges on labelled rows, which a recipe has",
            hint="weights='adamerging', or numbers",
        )
    check(members, base)
    states = [
        {name: torch.from_numpy(np.array(reader.read(name))) for name in reader.names()}
        for reader in (*members.values(), *([] if base is None else [base]))
    ]
    result = copy.deepcopy(network)
    settings = {name: value for name, value in chooser.settings({}).items() if name != "layers"}
    blend = Blend(
        entry,
        copy.deepcopy(network),
        states[: len(members)],
        states[-1] if base is not None else None,
        settings=wanted.settings,
    )
    chooser.load().learn(blend, batches, PASSES, **settings)
    with torch.no_grad():
        result.load_state_dict({name: value.detach() for name, value in blend.merged().items()})
    re_estimate(result, batches)
    return result


def _collected(
    need: str, networks: Mapping[str, nn.Module], batches: Sequence[Tensor]
) -> dict[str, dict[str, np.ndarray]]:
    from transfuse.seeds import stream

    entry = find("fusion/statistics", need)
    collect, settings = entry.load().collect, entry.settings({})
    return {name: collect(network, batches, stream(SEED, need), **settings) for name, network in networks.items()}


def _aligned(
    wanted: Wanted,
    members: Mapping[str, Reader],
    base: Reader | None,
    networks: Mapping[str, nn.Module],
    batches: Sequence[Tensor],
    stats: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, Reader], dict[str, Any]]:
    import torch

    from transfuse.fusion.aligned import align, aligning
    from transfuse.fusion.preflight import START

    lens = aligning(wanted.align)
    every = dict(networks)
    if isinstance(wanted.base, torch.nn.Module):
        every[START] = wanted.base
    given = {need: _collected(need, every, batches) for need in lens.needs}
    example = batches[0][:8]
    turned = align(
        lens, next(iter(networks.values())), members, example, base=base, stat=given, seed=SEED, networks=networks
    )
    return turned.members, {need: turned.statistics(need, of) for need, of in stats.items()}
