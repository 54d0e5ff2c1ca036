"""The same network without what it learned: what controls and loading need.

A network from a spec is built anew by its package; one given in Python is copied and every layer asked to start again.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.registry import find
from transfuse.seeds import integer
from transfuse.source.base import Source
from transfuse.source.building import behead
from transfuse.source.spec import SHELF, carries, drawn, parse, random_twin
from transfuse.types import Card

OF_A_FILE = ("file", "timm")


def blank_source(card: Card, *, root: Path, module: nn.Module | None = None, seed: int = 0) -> Source:
    """The source of a card with fresh weights, drawn from the stream of `seed`; its card, taps and preparation stay."""
    if module is not None:
        return _restarted(card, module, seed)
    if card.origin == "factory" or _restarts(card.spec):
        # What the function or the file gives has learned already, so its layers are asked to start again.
        return _restarted(card, find(SHELF, card.origin).load().build(parse(card.spec), root).module, seed)
    # Of a file with a head of another width, or without one, only the card knows.
    told = card.class_count if card.origin in OF_A_FILE and not card.beheaded else None
    twin = parse(random_twin(card.spec, seed, told))
    network = find(SHELF, twin.scheme).load().build(twin, root).module
    if card.beheaded:
        behead(network, card.beheaded)
    return Source(card, network).eval()


def _restarts(spec: str) -> bool:
    """Whether a network is started again layer by layer, since nobody but its file knows its architecture."""
    parsed = parse(spec)
    return carries(parsed) and not drawn(parsed)


def _restarted(card: Card, module: nn.Module, seed: int) -> Source:
    """A copy in which every layer has drawn its weights again.

    Raises UserError naming the parameters that belong to no layer that knows how to start: left as they are, a control
    that is called untrained would be partly trained.
    """
    fresh = copy.deepcopy(module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer("blank", seed))
        restart(fresh, f"source '{card.name}'")
    if isinstance(fresh, Source):
        fresh.card = card
        return fresh.eval()
    return Source(card, fresh).eval()


def restart(network: nn.Module, where: str) -> None:
    """Let every layer draw its weights again, from PyTorch's stream. Raises UserError naming what no layer covers."""
    covered: set[int] = set()
    for layer in network.modules():
        again = getattr(layer, "reset_parameters", None)
        if callable(again):
            again()
            covered |= {id(parameter) for parameter in layer.parameters(recurse=False)}
            covered |= {id(parameter) for child in layer.children() for parameter in child.parameters(recurse=False)}
    left = [name for name, parameter in network.named_parameters() if id(parameter) not in covered]
    if left:
        raise UserError(
            "this module cannot be started again from scratch",
            where=where,
            got=f"parameters outside any layer with reset_parameters: {', '.join(left[:5])}",
            hint="give your module's layers a reset_parameters method",
        )
