"""Where a source's stages end: without this file a network would be one lump, or a heap of single layers."""

from __future__ import annotations

from transfuse.types import Card


def stage_ends(card: Card) -> list[str]:
    """The ends of a source's stages in order of execution: the outermost place of each grid, or of a stack of layers.

    Of the maps of each grid larger than 1 x 1 the last of those that lie in the fewest other places. A source without
    two grids has a stack of layers of one shape: the parts (places that hold further taps) of the place that has most
    of them, as encoder layers have. What crosses there may be several values: these are places to read or to thaw at,
    not to cut at.
    """
    grids: dict[tuple[int, ...], list[str]] = {}
    for tap in card.taps.values():
        if tap.kind == "map" and not tap.pooled and len(tap.size) == 2 and min(tap.size) > 1 and tap.name == tap.place:
            grids.setdefault(tap.size, []).append(tap.name)
    ends = [min(reversed(names), key=lambda name: name.count(".")) for names in grids.values()]
    if len(ends) > 1:
        return ends
    stacks: dict[str, list[str]] = {}
    places = {tap.place for tap in card.taps.values()}
    for tap in card.taps.values():
        holds = any(place.startswith(f"{tap.place}.") for place in places)
        if tap.kind in ("map", "tokens") and tap.name == tap.place and holds:
            stacks.setdefault(tap.place.rpartition(".")[0], []).append(tap.name)
    return max(stacks.values(), key=len, default=[]) or ends
