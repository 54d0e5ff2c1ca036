"""What a fusion makes: a network of sources, joints, a method's body and a head, which is itself a Source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from transfuse.fuse.joints import Standardise, pooled
from transfuse.reads import Read
from transfuse.source.base import Source, hold
from transfuse.source.door import canvas_of
from transfuse.types import Card, Prepare, Tap


class Crown(nn.Module):
    """All that is new in a fusion: joints, the method's body, and a linear head; it sits on the members' blocks.

    While the members are frozen their blocks are computed once, and only the crown is built and trained.
    """

    def __init__(
        self, widths: Sequence[int], body: nn.Module, classes: Sequence[str], method: str, settings: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.method = method
        self.settings = dict(settings)
        self.joints = nn.ModuleList([Standardise(width) for width in widths])
        self.body = body
        self.width: int = body.width  # pyright: ignore[reportAttributeAccessIssue]
        self.classes = tuple(classes)
        self.head = nn.Linear(self.width, len(classes))
        # From zero the first prediction is uniform, and convex heads do not differ by their start at all.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def settle(self, blocks: Sequence[Tensor]) -> None:
        """Fit the joints' statistics on the training rows' blocks."""
        for joint, block in zip(self.joints, blocks, strict=True):
            joint.settle(block)  # pyright: ignore[reportCallIssue]

    def fuse(self, blocks: Sequence[Tensor]) -> Tensor:
        """Blocks to the fused block [N, width]."""
        return self.body([joint(block) for joint, block in zip(self.joints, blocks, strict=True)])

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        """Blocks to logits [N, C]."""
        return self.head(self.fuse(blocks))


class Fused(Source):
    """Members read at their taps, and a crown on top of them.

    Between `blocks` (what the members give) and the crown runs the frontier of a frozen fusion.
    Taps: `fused`, `logits`, and `MEMBER.TAP` for every tap of every member.
    """

    def __init__(
        self, name: str, members: Mapping[str, Source], reads: Sequence[Read], crown: Crown, *, pool: bool
    ) -> None:
        nn.Module.__init__(self)
        self.members = nn.ModuleDict({_key(member): source for member, source in members.items()})
        self.reads = tuple(reads)
        self.pool = pool
        self.crown = crown
        self.card = _card(name, members, crown)

    def member(self, name: str) -> Source:
        return self.members[_key(name)]  # pyright: ignore[reportReturnType]

    def member_blocks(self, batch: Tensor | Mapping[str, Any]) -> list[Tensor]:
        """All blocks [N, ...] in the order of the reads; each member runs once per view for all of its taps."""
        canvas = canvas_of(batch)
        found: dict[Read, Tensor] = {}
        for member, view in dict.fromkeys((read.member, read.view) for read in self.reads):
            wanted = [read for read in self.reads if (read.member, read.view) == (member, view)]
            given = self.member(member).blocks(turned(canvas, view), [read.tap for read in wanted])
            found |= {read: given[read.tap] for read in wanted}
        return [pooled(found[read]) if self.pool else found[read] for read in self.reads]

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        """{tap: block} in the order asked; a member's own tap runs only that member."""
        for tap in taps:
            self.card.tap(tap)
        given: dict[str, Tensor] = {}
        if {"fused", "logits"} & set(taps):
            given["fused"] = self.crown.fuse(self.member_blocks(batch))
            given["logits"] = self.crown.head(given["fused"])
        inner = [tap.split(".", 1) for tap in taps if tap not in given]
        for name in dict.fromkeys(member for member, _ in inner):
            found = self.member(name).blocks(batch, [tap for member, tap in inner if member == name])
            given |= {f"{name}.{tap}": block for tap, block in found.items()}
        return {tap: given[tap] for tap in taps}

    def freeze(self, until: str | None = None) -> None:
        """Freeze everything (None, `logits`), all below the head (`fused`), or one member up to a tap (`vgg.map`)."""
        if until is not None and until not in ("fused", "logits"):
            self.card.tap(until)
            name, tap = until.split(".", 1)
            self.member(name).freeze(tap)
            return
        hold([*self.members.values(), self.crown.joints, self.crown.body])
        if until != "fused":
            hold([self.crown.head])


def turned(canvas: Tensor, view: str) -> Tensor:
    """An exact rearrangement of the canvas [N, 3, S, S]: as it is, mirrored, upside down, or turned by half."""
    axes = {"plain": [], "mirror": [3], "flip": [2], "turn": [2, 3]}[view]
    return torch.flip(canvas, axes) if axes else canvas


def _key(member: str) -> str:
    # ModuleDict allows no dots in its keys, and source names may have them.
    return member.replace(".", "·")


def _card(name: str, members: Mapping[str, Source], crown: Crown) -> Card:
    cards = [source.card for source in members.values()]
    taps = {
        "fused": Tap("fused", "vector", crown.width, "crown.body"),
        "logits": Tap("logits", "logits", len(crown.classes), "crown.head"),
    }
    for member, source in members.items():
        taps |= {f"{member}.{tap.name}": replace(tap, name=f"{member}.{tap.name}") for tap in source.card.taps.values()}
    return Card(
        name=name,
        spec="fusion of " + ", ".join(members),
        origin="transfuse",
        sha256="",
        prepare=Prepare(size=max(card.prepare.size for card in cards), mean=(0.0,) * 3, std=(1.0,) * 3),
        taps=taps,
        class_count=len(crown.classes),
        classes=crown.classes,
        licence=", ".join(sorted({card.licence for card in cards})),
        flexible=all(card.flexible for card in cards),
        random=any(card.random for card in cards),
        cuttable=False,
    )
