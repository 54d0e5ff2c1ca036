"""Building networks from what a plan says of them: cards by number, a method, and which members start anew."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from transfuse.compress import Rows
from transfuse.compress._lift import compressed
from transfuse.files.weights import load_optimiser
from transfuse.fusion.connect import connecting, crown
from transfuse.fusion.fused import Crown, Fused
from transfuse.fusion.parts import Opened
from transfuse.fusion.recipient import moments_of, start_from
from transfuse.jsonio import canonical
from transfuse.reads import CANVAS, OF_CANVAS, OF_RECIPIENT, RECIPIENT, Read, divides, pools
from transfuse.registry import method
from transfuse.source.base import Source
from transfuse.source.blank import blank_source
from transfuse.source.layout import laid_out
from transfuse.source.open import open_source, spec_files
from transfuse.steps import Context
from transfuse.store import Artifact, Store
from transfuse.train.past import PastOf, unknown
from transfuse.types import Card

RANDOM_SEED = 0


def cards(inputs: Mapping[str, Any]) -> list[Card]:
    """The cards of a step's inputs, in order."""
    count = sum(role.startswith("card") for role in inputs)
    return [Card.from_record(inputs[f"card{index}"].meta) for index in range(count)]


def member_names(found: Sequence[Card]) -> list[str]:
    """Members by their sources' names, made distinct."""
    names = [card.name for card in found]
    return [name if names.count(name) == 1 else f"{name}#{index}" for index, name in enumerate(names)]


def source(card: Card, context: Context, *, fresh: bool = False) -> Source:
    """A source as pretrained, or started anew. Members of one fusion start from different draws."""
    module = context.modules.get(card.name) if card.origin == "module" else None
    if fresh:
        opened = blank_source(card, root=context.root, module=module, seed=RANDOM_SEED)
    else:
        opened = open_source(card, root=context.root, module=module)
    if card.compressed:
        opened = pressed(opened, card.compressed)
    return laid_out(opened)


def pressed(whole: Source, how: Mapping[str, Any]) -> Source:
    """A source compressed as its card says, before anything is made of it; nobody has seen rows yet."""
    made = compressed(method(how["method"]), whole, Rows(how["side"]), how["settings"]).model
    made.card = whole.card
    return made


@functools.lru_cache(maxsize=2)
def _kept_frozen(card_record: str, fresh: bool, root: Path, device: str) -> Source:
    card = Card.from_record(json.loads(card_record))
    return source(card, Context(Store(root), root), fresh=fresh).to(device)


def frozen(card: Card, context: Context, *, fresh: bool) -> Source:
    """A source for reading features only, frozen; the last two stay in memory, since rows come in turn."""
    device = context.torch_device()
    if card.origin == "module":
        found = source(card, context, fresh=fresh).to(device)
    else:
        found = _kept_frozen(canonical(card.record()), fresh, context.root, str(device))
    found.freeze(None)
    return found


def merged(card: Card, inputs: Mapping[str, Any], context: Context) -> Source:
    """The first member's source with the weights of a merge; without one (counting needs none) as it is."""
    opened = source(card, context)
    if "merged" in inputs:
        load_arrays(opened.network, inputs["merged"])
    return opened


def members(params: Mapping[str, Any], inputs: Mapping[str, Any], context: Context) -> dict[str, Source]:
    """The members of a network by name: one merged source, or each its own."""
    found = cards(inputs)
    if params["merge"]:
        return {found[0].name: merged(found[0], inputs, context)}
    fresh = set(params["random"])
    return {
        name: source(card, context, fresh=index in fresh)
        for index, (name, card) in enumerate(zip(member_names(found), found, strict=True))
    }


def reads(params: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[Read]:
    """What a network reads, with members by name."""
    names = dict(enumerate(member_names(cards(inputs))))
    names |= {OF_RECIPIENT: RECIPIENT, OF_CANVAS: ""}
    return [Read(names[member], *rest) for member, *rest in params["reads"]]


def canvas_place(params: Mapping[str, Any]) -> int | None:
    """Where among the blocks that a crown takes the canvas itself stands."""
    return next((index for index, read in enumerate(params["reads"]) if read[:2] == [OF_CANVAS, CANVAS]), None)


def recipient(params: Mapping[str, Any], inputs: Mapping[str, Any], context: Context) -> Source | None:
    """The network that receives the sources, where there is one: as its maker gave it, started anew, or with
    what it shares with a source by name and shape."""
    if RECIPIENT not in inputs:
        return None
    fresh = OF_RECIPIENT in params["random"]
    found = source(replace(Card.from_record(inputs[RECIPIENT].meta), name=RECIPIENT), context, fresh=fresh)
    if "start" in params and not fresh:
        start_from(found, source(cards(inputs)[params["start"]], context), seed=params.get("seed", 0))
    return found


def past(params: Mapping[str, Any], inputs: Mapping[str, Any], context: Context) -> PastOf:
    """What the recipient's own optimiser knew, from the checkpoint of its training; nothing of one that starts anew."""
    card = Card.from_record(inputs[RECIPIENT].meta) if RECIPIENT in inputs else None
    if card is None or card.origin == "module" or OF_RECIPIENT in params["random"] or "start" in params:
        return unknown
    for path in spec_files(card.spec, context.root):
        if (known := load_optimiser(path)) is not None:
            return lambda model: moments_of(model.recipient.network, known, str(path))  # pyright: ignore
    return unknown


def new_crown(params: Mapping[str, Any], inputs: Mapping[str, Any], seed: int, context: Context) -> Crown:
    """The new part alone, for frozen members; what it runs of them is frozen too."""
    found = cards(inputs)
    names, parts = member_names(found), None
    if divides(connecting(params["method"])):
        opened = [frozen(card, context, fresh=index in params["random"]) for index, card in enumerate(found)]
        parts = Opened(dict(zip(names, opened, strict=True)), recipient(params, inputs, context))
    by_name, wanted = dict(zip(names, found, strict=True)), reads(params, inputs)
    facts = {"settings": params["settings"], "seed": seed, "parts": parts, "kind": params.get("task", "multiclass")}
    made = crown(params["method"], by_name, wanted, params["classes"], **facts)
    plan = params.get("schedule", {})
    left_out = {name: plan.get(f"{name}_dropout", 0.0) for name in ("branch", "feature")}
    made.drop(**left_out, passes=plan.get("monte_carlo", 0))
    return made


def whole(
    params: Mapping[str, Any], inputs: Mapping[str, Any], context: Context, top: Crown, name: str = "fused"
) -> Fused:
    """Members and crown together; a crown that runs parts of its members gets those of these members."""
    entry, opened = connecting(params["method"]), members(params, inputs, context)
    wanted, own = reads(params, inputs), None
    if divides(entry):
        own = recipient(params, inputs, context)
        by_name = {member: source.card for member, source in opened.items()}
        facts = {"settings": params["settings"], "parts": Opened(opened, own)}
        again = crown(entry, by_name, wanted, params["classes"], **facts)
        again.load_state_dict(top.state_dict())
        top = again
    return Fused(name, opened, wanted, top, pool=pools(entry), recipient=own)


def state_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """A module's tensors for the store, under `state/`."""
    return {f"state/{name}": value.detach().cpu().numpy() for name, value in module.state_dict().items()}


def load_arrays(module: nn.Module, artifact: Artifact) -> None:
    """Put tensors of the store back into a module; names and shapes must fit."""
    state = {
        name.removeprefix("state/"): torch.from_numpy(array)
        for name, array in artifact.arrays.items()
        if name.startswith("state/")
    }
    module.load_state_dict(state)


def autocast(precision: str, device: torch.device) -> Callable[[], Any]:
    """bf16 where the recipe asks for it, else nothing."""
    if precision != "bf16":
        return contextlib.nullcontext
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
