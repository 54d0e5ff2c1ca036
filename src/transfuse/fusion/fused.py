"""What a fusion makes: a network of sources, joints, a method's body and a head, which is itself a Source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from transfuse import cells, packed, texts
from transfuse.errors import UserError
from transfuse.fields import COLUMNS, IMAGE, views
from transfuse.fusion.dropping import Dropping, averaged
from transfuse.fusion.heads import head
from transfuse.fusion.joints import Plain, Standardise, pooled
from transfuse.fusion.made import Made, made_card
from transfuse.reads import CANVAS, Read
from transfuse.source.base import Source, hold
from transfuse.source.door import inputs_of, rows_of
from transfuse.types import Card, Tap, TaskKind


class Crown(nn.Module):
    """All that is new in a fusion: joints, the method's body, and a linear head; it sits on the members' blocks.

    While the members are frozen their blocks are computed once, and only the crown is built and trained. `widths` are
    those of the blocks it reads; with `plain` these go to the body as they are. More blocks than it has joints may be
    given: those after them are targets that only settling looks at. With `passes` its answer in evaluation is the mean
    over so many networks with parts left out.
    """

    passes: int = 0
    recipient: Source | None = None

    def __init__(
        self,
        widths: Sequence[int],
        body: nn.Module,
        classes: Sequence[str],
        method: str,
        settings: Mapping[str, Any],
        *,
        plain: bool = False,
        kind: TaskKind = "multiclass",
    ) -> None:
        super().__init__()
        self.method = method
        self.settings = dict(settings)
        self.joints = nn.ModuleList([Plain(width) if plain else Standardise(width) for width in widths])
        self.body = body
        self.dropping = Dropping(range(len(widths)))
        self.width: int = body.width  # pyright: ignore[reportAttributeAccessIssue]
        self.classes = tuple(classes)
        self.kind: TaskKind = kind
        self.head = head(self.width, len(classes), kind)
        start = getattr(body, "start", None)
        if start is not None:
            with torch.no_grad():
                weight, bias = start(self.classes)
                self.head.weight.copy_(weight)
                self.head.bias.copy_(bias)

    @property
    def settles(self) -> bool:
        """Whether anything is taken from training rows beforehand; else these need not be read at all."""
        plain = all(isinstance(joint, Plain) for joint in self.joints)
        return not plain or hasattr(self.body, "settle") or hasattr(self.body, "fit")

    def settle(self, blocks: Sequence[Tensor], classes: Tensor | None = None) -> None:
        """Fit the joints' statistics, and whatever the body settles, on the training rows' blocks and targets.

        A body that is fitted in closed form is given the rows' class numbers [N] too, where they are known.
        """
        count = len(self.joints)
        for joint, block in zip(self.joints, blocks[:count], strict=True):
            joint.settle(block)  # pyright: ignore[reportCallIssue]
        settle = getattr(self.body, "settle", None)
        if settle is not None:
            settle(self.joined(blocks), list(blocks[count:]))
        if hasattr(self.body, "fit"):
            with torch.no_grad():
                self.body.fit(self.joined(blocks), classes)  # pyright: ignore[reportCallIssue]

    def drop(self, *, branch: float = 0.0, feature: float = 0.0, passes: int = 0) -> None:
        """What training leaves out by chance, and over how many such networks an answer is averaged afterwards."""
        self.dropping.branch, self.dropping.feature, self.passes = branch, feature, passes

    def joined(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        """Blocks after their joints; targets after them are left out."""
        return [joint(block) for joint, block in zip(self.joints, blocks[: len(self.joints)], strict=True)]

    def fuse(self, blocks: Sequence[Tensor]) -> Tensor:
        """Blocks to the fused block [N, width]."""
        return self.body(self.dropping(self.joined(blocks)))

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        """Blocks to logits [N, C], or to a regression's numbers [N, T]."""
        if self.passes and not self.training:
            return averaged(self, blocks, self.passes)
        return self.head(self.fuse(blocks))


class Fused(Made):
    """Members read at their taps, and a crown on top of them.

    Between `blocks` (what the members give) and the crown runs the frontier of a frozen fusion.
    Taps: `fused`, `logits`, and `MEMBER.TAP` for every tap of every member. A `recipient` is no member: what of it the
    crown runs belongs to the crown. `absent` are the cards of those who are read but left out: the crown is given
    what their blocks were on average over the training rows.
    """

    recipient: Source | None

    def __init__(
        self,
        name: str,
        members: Mapping[str, Source],
        reads: Sequence[Read],
        crown: Crown,
        *,
        pool: bool,
        recipient: Source | None = None,
        absent: Mapping[str, Card] | None = None,
    ) -> None:
        super().__init__()
        self.absent = dict(absent or {})
        self.names = tuple(members)
        self.members = nn.ModuleDict({_key(member): source for member, source in members.items()})
        self.reads = tuple(reads)
        self.pool = pool
        self.crown = crown
        self.__dict__["recipient"] = recipient
        self.kind = crown.kind
        self.inner = _inner(members)
        own = Tap("fused", "vector", crown.width, "crown.body")
        logits = Tap("logits", "logits", len(crown.classes), "crown.head")
        taken = [
            replace(members[member].card.tap(tap), name=full, cut=False) for full, (member, tap) in self.inner.items()
        ]
        made_of = [*members.values(), *([] if recipient is None else [recipient])]
        spec = "fusion of " + ", ".join([*members, *([] if recipient is None else ["the recipient"])])
        card = made_card(name, spec, self, made_of, [own, logits, *taken])
        self.card = replace(card, classes=crown.classes)

    def member(self, name: str) -> Source:
        return self.members[_key(name)]  # pyright: ignore[reportReturnType]

    def reads_of(self, name: str) -> list[Read]:
        """What is read of a member, or of the recipient, and the places where parts of it begin or end."""
        return [read for read in self.reads if read.member == name]

    def tree(self) -> str:
        """The network in a few lines: origins, what is new, what is frozen."""
        from transfuse.fusion.tree import tree

        return tree(self)

    def __repr__(self) -> str:
        return self.tree()

    def member_blocks(self, batch: Tensor | Mapping[str, Any], *, targets: bool = False) -> list[Tensor]:
        """All blocks [N, ...] in the order of the reads, with `targets` those of training rows after them.

        Each member runs once per view for all of its taps.
        """
        canvas = inputs_of(batch, self.card.field)
        reads = [read for read in self.reads if read.use == "block" or (targets and read.use == "target")]
        found: dict[Read, Tensor] = {}
        for member, view in dict.fromkeys((read.member, read.view) for read in reads if read.member not in self.absent):
            wanted = [read for read in reads if (read.member, read.view) == (member, view)]
            seen = turned(canvas, view)
            given = {CANVAS: seen} if not member else self.member(member).blocks(seen, [read.tap for read in wanted])
            found |= {read: given[read.tap] for read in wanted}
        for place, read in enumerate(reads):
            if read.member in self.absent:
                found[read] = self.crown.joints[place].mean.expand(canvas.shape[0], -1)  # pyright: ignore
        return [pooled(found[read]) if self.pool else found[read] for read in reads]

    def settle(self, batch: Tensor | Mapping[str, Any], classes: Tensor | None = None) -> None:
        """Give the crown what it takes from these training images, once, before training; else blocks pass as is.

        A method that is fitted in closed form is fitted to them too; some need the images' class numbers [N].
        """
        with torch.no_grad():
            self.crown.settle(self.member_blocks(batch, targets=True), classes)

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        """{tap: block} in the order asked; a member's own tap runs only that member."""
        for tap in taps:
            self.card.tap(tap)
        given: dict[str, Tensor] = {}
        if {"fused", "logits"} & set(taps):
            read = self.member_blocks(batch)
            given["fused"] = self.crown.fuse(read)
            given["logits"] = self.crown(read) if self.crown.passes else self.crown.head(given["fused"])
        rest = [tap for tap in taps if tap not in given]
        for name in dict.fromkeys(self.inner[tap][0] for tap in rest):
            wanted = {tap: self.inner[tap][1] for tap in rest if self.inner[tap][0] == name}
            found = self.member(name).blocks(batch, list(wanted.values()))
            given |= {tap: found[inner] for tap, inner in wanted.items()}
        return {tap: given[tap] for tap in taps}

    def freeze(self, until: str | None = None) -> None:
        """Freeze everything (None, `logits`), all below the head (`fused`), or one member up to a tap (`vgg.map`)."""
        if until is not None and until not in ("fused", "logits"):
            self.card.tap(until)
            name, tap = self.inner[until]
            self.member(name).freeze(tap)
            return
        hold([*self.members.values(), self.crown.joints, self.crown.body])
        if until != "fused":
            hold([self.crown.head])


def turned(canvas: Tensor, view: str) -> Tensor:
    """An exact rearrangement of the canvas [N, 3, S, S]: as it is, mirrored, upside down, or turned by half.

    Of texts [N, L] a view of their words: all, every other one from the first or the second on, or all backwards; of
    columns every other one. Of rows of several parts each part that has such a view.
    """
    if view != "plain" and packed.holds(canvas):
        return _parts_turned(canvas, view)
    if view in texts.VIEWS[1:]:
        return torch.from_numpy(texts.seen(canvas.cpu().numpy(), view)).to(canvas.device)
    axes = {"plain": [], "mirror": [3], "flip": [2], "turn": [2, 3]}[view]
    return torch.flip(canvas, axes) if axes else canvas


def _parts_turned(rows: Tensor, view: str) -> Tensor:
    held = {field: packed.part(rows, field) for field, size in packed.sizes(rows).items() if size}
    for field, known in held.items():
        if field == COLUMNS and view in cells.VIEWS:
            looks = cells.seen(known.to(torch.uint8).cpu().numpy(), view)
            held[field] = torch.from_numpy(looks).to(rows)
        elif field != COLUMNS and view in views(field):
            held[field] = turned(known if field == IMAGE else known.to(torch.uint8), view)
    return rows_of(held)


def _key(member: str) -> str:
    # ModuleDict allows no dots in its keys, nor the names of its own methods; source names may be either.
    key = member.replace(".", "·")
    return f"{key}·" if hasattr(nn.ModuleDict, key) or not key else key


def _inner(members: Mapping[str, Source]) -> dict[str, tuple[str, str]]:
    """{MEMBER.TAP: (member, tap)}; refused where two members' taps would have one name."""
    found: dict[str, tuple[str, str]] = {}
    for member, source in members.items():
        for tap in source.card.taps:
            other = found.setdefault(f"{member}.{tap}", (member, tap))
            if other != (member, tap):
                raise UserError(
                    f"two taps would be called '{member}.{tap}'",
                    got=f"tap '{tap}' of '{member}' and tap '{other[1]}' of '{other[0]}'",
                    hint="give one of these sources another name",
                )
    return found
