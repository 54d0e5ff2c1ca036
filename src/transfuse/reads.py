"""Which block a fusion reads from which source: decided from cards alone, so that plans need no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transfuse.errors import UserError, unknown_name
from transfuse.registry import Entry
from transfuse.types import Card

# Exact rearrangements of the canvas. Copies of one source look at different views, else they were one column twice.
VIEWS = ("plain", "mirror", "flip", "turn")


@dataclass(frozen=True)
class Read:
    """One block that a fusion reads: which member, at which tap, on which view of the canvas."""

    member: str
    tap: str
    view: str = "plain"


def early_cut(card: Card) -> str:
    """The deepest map before the last halving of the grid: what `cut: auto` keeps of a source.

    Taps stand in the order of execution, so of several maps on that grid the last is the outermost.
    """
    maps = [tap for tap in card.taps.values() if tap.kind == "map" and not tap.pooled and len(tap.size) == 2]
    sides = sorted({tap.size for tap in maps if min(tap.size) > 1})
    if not sides:
        raise UserError(
            f"source '{card.name}' gives no map larger than 1 x 1 on this canvas, so it cannot be cut at one",
            where=card.spec,
            hint="use a larger canvas, or a features/ method",
        )
    final = card.taps["map"].size if "map" in card.taps else sides[0]
    larger = [side for side in sides if side > final]
    side = larger[0] if larger else sides[-1]
    names = [tap.name for tap in maps if tap.size == side]
    return ([name for name in names if name != "map"] or names)[-1]


def default_tap(traits: Mapping[str, Any], card: Card) -> str:
    """The tap a method reads when none is named: the penultimate features, or an early map for structure."""
    if traits.get("accepts") == "map":
        return early_cut(card)
    for name in ("fused", "vector", "tokens", "map"):
        if name in card.taps:
            return name
    expected = "a vector, tokens or a map"
    raise UserError(f"source '{card.name}' has no features to read", where=card.spec, expected=expected)


def reads_of(entry: Entry, cards: Mapping[str, Card], taps: Mapping[str, Sequence[str]] | None = None) -> list[Read]:
    """The blocks a method reads: for each member the named taps, else the method's default; refused if they misfit."""
    if not cards:
        raise UserError(f"{entry.full_name} needs at least one source")
    named = taps or {}
    for member in named:
        if member not in cards:
            raise unknown_name("source", member, cards, where="taps")
    reads = [
        Read(member, tap)
        for member, card in cards.items()
        for tap in named.get(member) or [default_tap(entry.traits, card)]
    ]
    check_reads(entry, cards, reads)
    return reads


def check_reads(entry: Entry, cards: Mapping[str, Card], reads: Sequence[Read]) -> None:
    """Refuse what a method cannot take, from cards alone, naming the source and the tap."""
    for read in reads:
        tap = cards[read.member].tap(read.tap)
        if entry.traits.get("accepts") == "map" and (tap.kind != "map" or tap.pooled):
            raise UserError(
                f"{entry.full_name} fuses maps [N, C, H, W]",
                where=f"source '{read.member}', tap '{read.tap}'",
                got=f"{tap.kind} of width {tap.width}",
                hint=f"tap '{early_cut(cards[read.member])}'",
            )
        if tap.kind == "logits" and entry.shelf == "fusion/features":
            raise UserError(
                f"{entry.full_name} fuses features, not logits",
                where=f"source '{read.member}', tap '{read.tap}'",
                hint="outputs/mean_prob fuses predictions",
            )
