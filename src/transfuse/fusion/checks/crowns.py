"""Crowns to try laws on; without this file every law would build its own network, and they would try different ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from transfuse.fusion.checks import examples
from transfuse.fusion.checks.law import variants
from transfuse.fusion.connect import crown
from transfuse.fusion.fused import Crown
from transfuse.reads import Read, pools, reads_of
from transfuse.registry import Entry
from transfuse.seeds import integer
from transfuse.types import Card, Prepare, Tap

ROWS = 12
WIDTHS = (5, 3, 4)
GRIDS = ((6, 6), (3, 3), (4, 4))
CLASSES = ("a", "b", "c")
TARGETS = torch.arange(ROWS) % len(CLASSES)
# Float32, and batches of other sizes take other paths through the linear algebra.
ROUNDING = 1e-4


def takes_maps(entry: Entry) -> bool:
    return not pools(entry)


def counts_of(entry: Entry, *wanted: int) -> list[int]:
    """The numbers of sources to try, where the method takes so many."""
    least, most = entry.traits.get("least", 1), entry.traits.get("most") or max(wanted)
    return sorted({min(max(count, least), most) for count in wanted})


def new_crown(entry: Entry, count: int, settings: Mapping[str, Any], seed: int = 0, *, alike: bool = False) -> Crown:
    if entry.reads:
        parts = examples.parts(count, alike=alike)
        cards = {name: source.card for name, source in parts.members.items()}
        return crown(entry, cards, None, CLASSES, settings=settings, seed=seed, parts=parts).eval()
    kind = "map" if takes_maps(entry) else "vector"
    widths, grids = ((4,) * 3, ((5, 5),) * 3) if alike else (WIDTHS, GRIDS)
    cards = {
        f"source{index}": Card(
            name=f"source{index}",
            spec="example",
            origin="example",
            sha256="",
            prepare=Prepare(size=32),
            taps={kind: Tap(kind, kind, widths[index], "", size=grids[index] if takes_maps(entry) else ())},
            class_count=len(CLASSES),
        )
        for index in range(count)
    }
    reads = [Read(member, kind) for member in cards]
    return crown(entry, cards, reads, CLASSES, settings=settings, seed=seed).eval()


def stirred(top: Crown, draw: int = 0) -> Crown:
    """The crown away from its start, where zeros would hide what it does not listen to."""
    generator = torch.Generator().manual_seed(integer("contract stir", draw))
    with torch.no_grad():
        for parameter in top.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return top


def new_blocks(
    entry: Entry, count: int, rows: int = ROWS, *, grids: Sequence[tuple[int, ...]] = GRIDS, alike: bool = False
) -> list[Tensor]:
    """Drawn blocks [rows, ...], or those that example sources give for drawn images of the first grid's size."""
    generator = torch.Generator().manual_seed(integer("contract blocks", rows))
    if entry.reads:
        members = examples.sources(count, alike=alike)
        reads = reads_of(entry, {name: source.card for name, source in members.items()})
        side = examples.SIDE if grids is GRIDS else 4 * grids[0][0]
        canvas = torch.rand(rows, 3, side, side, generator=generator)
        return examples.blocks(members, reads, canvas, pool=pools(entry))
    widths = (4,) * count if alike else WIDTHS[:count]
    grids = ((5, 5),) * count if alike else grids
    sizes = grids if takes_maps(entry) else ((),) * count
    return [torch.randn(rows, width, *size, generator=generator) for width, size in zip(widths, sizes, strict=False)]


def cases(entry: Entry, *counts: int) -> Iterator[tuple[Crown, list[Tensor]]]:
    """A fitted and stirred crown and its blocks, at every variant of the settings and for each number of sources."""
    for settings in variants(entry):
        for count in counts_of(entry, *(counts or (len(WIDTHS),))):
            top, blocks = new_crown(entry, count, settings), new_blocks(entry, count)
            if hasattr(top.body, "fit"):
                top.settle(blocks, TARGETS)
            yield stirred(top), blocks


def fused(top: Crown, blocks: Sequence[Tensor]) -> Tensor:
    with torch.no_grad():
        return top.fuse(blocks)


def several(entry: Entry) -> int:
    return counts_of(entry, len(WIDTHS))[-1]
