"""Connecting: from sources and a method's name to a trainable network, every mismatch found before weights matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from transfuse.errors import UserError, unknown_name
from transfuse.fusion.contract import Front
from transfuse.fusion.fused import Crown, Fused
from transfuse.reads import VIEWS, Read, check_reads, reads_of
from transfuse.registry import Entry, method
from transfuse.seeds import integer
from transfuse.source.base import Source
from transfuse.types import Card


def crown(
    named: str | Entry,
    cards: Mapping[str, Card],
    reads: Sequence[Read] | None,
    classes: Sequence[str],
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Crown:
    """The new part of a fusion by the method `FAMILY/NAME` (or its entry), from cards alone.

    It starts from the stream of `seed`; the global random state is left alone. Raises UserError for settings the method
    refuses, reads that do not fit, and fewer than two or repeated classes.
    """
    entry = connecting(named)
    given = entry.settings(settings or {})
    chosen = _fitting(entry, cards, reads)
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise UserError("a fusion needs two or more distinct classes", got=", ".join(classes) or "none")
    taps = [cards[read.member].tap(read.tap) for read in chosen]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(seed, "init"))
        module = entry.load()
        if entry.shelf == "fusion/features":
            body = module.Fuser([tap.width for tap in taps], **given)
        else:
            fronts = [Front(read.member, read.tap, tap.width, tap.size) for read, tap in zip(chosen, taps, strict=True)]
            body = module.build(fronts, **given)
        return Crown([tap.width for tap in taps], body, classes, entry.full_name, given)


def _fitting(entry: Entry, cards: Mapping[str, Card], reads: Sequence[Read] | None) -> list[Read]:
    """The reads asked for, or the method's own; each of a known member, tap and view."""
    chosen = list(reads or reads_of(entry, cards))
    for read in chosen:
        if read.member not in cards:
            raise unknown_name("member", read.member, cards)
        if read.view not in VIEWS:
            raise unknown_name("view", read.view, VIEWS, where=f"source '{read.member}', tap '{read.tap}'")
    check_reads(entry, cards, chosen)
    return chosen


def connecting(named: str | Entry) -> Entry:
    """The entry of a method that connects networks; the other families are refused by name."""
    entry = method(named) if isinstance(named, str) else named
    if entry.shelf not in ("fusion/features", "fusion/structure"):
        raise UserError(f"{entry.full_name} does not connect networks", expected="a method of features/ or structure/")
    return entry


def connect(
    named: str | Entry,
    members: Mapping[str, Source],
    reads: Sequence[Read] | None,
    classes: Sequence[str],
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    name: str = "fused",
) -> Fused:
    """A trainable network that reads `members` at `reads` and fuses them by the method `FAMILY/NAME` (or its entry)."""
    cards = {member: source.card for member, source in members.items()}
    entry = connecting(named)
    chosen = _fitting(entry, cards, reads)
    top = crown(entry, cards, chosen, classes, settings=settings, seed=seed)
    return Fused(name, members, chosen, top, pool=entry.traits.get("accepts") != "map")
