"""A network as its branches: what of each is read, and the same network around changed branches; without this file
every compression would know how fusions are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transfuse.errors import UserError
from transfuse.fusion.connect import connecting
from transfuse.fusion.fused import Fused
from transfuse.fusion.pooled import Narrowed
from transfuse.reads import divides
from transfuse.source.base import Source
from transfuse.types import Card


@dataclass(frozen=True)
class Branch:
    """One source inside a network, and the taps of it that the rest goes on from: their widths must stay."""

    name: str
    source: Source
    taps: tuple[str, ...]


def branches(model: Source, what: str) -> list[Branch]:
    """The branches of a network, each once.

    Raises UserError where parts of sources are run by themselves (structure methods), since their joints lie inside.
    """
    if isinstance(model, Fused):
        if model.recipient is not None or divides(connecting(model.crown.method)):
            raise UserError(
                f"{model.crown.method} runs parts of its sources, which {what} cannot take apart",
                where=f"'{model.card.name}'", hint="compress its sources before they are fused",
            )  # fmt: skip
        return [
            Branch(name, model.member(name), tuple(dict.fromkeys(read.tap for read in model.reads_of(name))))
            for name in model.names
        ]
    source = model.source if isinstance(model, Narrowed) else model
    # Whoever fuses this source later reads its features.
    features = [tap for tap in ("vector",) if tap in source.card.taps and not isinstance(model, Narrowed)]
    return [Branch(source.card.name, source, (*features, "logits"))]


def rebuilt(model: Source, side: int) -> Source:
    """The same network with cards that tell of its branches as they are now."""
    if isinstance(model, Fused):
        members = {name: model.member(name) for name in model.names}
        for member in members.values():
            member.card = measured(member, side)
        facts = {"pool": model.pool, "recipient": model.recipient, "absent": model.absent}
        made = Fused(model.card.name, members, model.reads, model.crown, **facts)  # pyright: ignore[reportArgumentType]
    elif isinstance(model, Narrowed):
        model.source.card = measured(model.source, side)
        made = Narrowed(model.source, model.card.classes, model.grouping, model.opening)
    else:
        model.card = measured(model, side)
        made = model
    made.kind, made.temperature = model.kind, model.temperature
    return made.eval()


def measured(source: Source, side: int) -> Card:
    """A source's card with the widths and parameters it has now."""
    canvas = torch.full((1, 3, side, side), 0.5)
    with torch.no_grad():
        blocks = source.eval().blocks(canvas, list(source.card.taps))
    taps = {name: replace(tap, width=_width(blocks[name])) for name, tap in source.card.taps.items()}
    return replace(source.card, taps=taps, parameters=sum(each.numel() for each in source.network.parameters()))


def _width(block: Tensor) -> int:
    return block.shape[2] if block.dim() == 3 else block.shape[1]


def named(found: list[Branch], name: str) -> Branch:
    """The branch of that name."""
    known: Mapping[str, Branch] = {branch.name: branch for branch in found}
    if name not in known:
        raise UserError("there is no such branch", where="compress", expected=", ".join(known), got=name)
    return known[name]
