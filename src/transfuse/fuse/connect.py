"""Connecting: from sources and a method's name to a trainable network, with every mismatch found before weights matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from transfuse.errors import UserError
from transfuse.fuse.contract import Front
from transfuse.fuse.fused import Crown, Fused
from transfuse.reads import Read, check_reads, reads_of
from transfuse.registry import Entry, method
from transfuse.seeds import integer
from transfuse.source.base import Source
from transfuse.types import Card


def crown(
    full_name: str,
    cards: Mapping[str, Card],
    reads: Sequence[Read] | None,
    classes: Sequence[str],
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Crown:
    """The new part of a fusion by the method `FAMILY/NAME`, from cards alone.

    It starts from the stream of `seed`; the global random state is left alone.
    """
    entry = connecting(full_name)
    given = entry.settings(settings or {})
    chosen = list(reads or reads_of(entry, cards))
    check_reads(entry, cards, chosen)
    taps = [cards[read.member].tap(read.tap) for read in chosen]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(seed, "init"))
        module = entry.load()
        if entry.shelf == "fuse/features":
            body = module.Fuser([tap.width for tap in taps], **given)
        else:
            fronts = [Front(read.member, read.tap, tap.width, tap.size) for read, tap in zip(chosen, taps, strict=True)]
            body = module.build(fronts, **given)
        return Crown([tap.width for tap in taps], body, classes, full_name, given)


def connecting(full_name: str) -> Entry:
    """The entry of a method that connects networks; the other families are refused by name."""
    entry = method(full_name)
    if entry.shelf not in ("fuse/features", "fuse/structure"):
        raise UserError(f"{full_name} does not connect networks", expected="a method of features/ or structure/")
    return entry


def connect(
    full_name: str,
    members: Mapping[str, Source],
    reads: Sequence[Read] | None,
    classes: Sequence[str],
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    name: str = "fused",
) -> Fused:
    """A trainable network that reads `members` at `reads` and fuses them by the method `FAMILY/NAME`."""
    cards = {member: source.card for member, source in members.items()}
    entry = connecting(full_name)
    chosen = list(reads or reads_of(entry, cards))
    top = crown(full_name, cards, chosen, classes, settings=settings, seed=seed)
    return Fused(name, members, chosen, top, pool=entry.traits.get("accepts") != "map")
