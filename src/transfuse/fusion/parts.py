"""Parts of sources inside something new: without this, what is new would own, save and train what is a source's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.fusion.contract import Front
from transfuse.reads import RECIPIENT, features_tap
from transfuse.source.base import Source
from transfuse.source.sections import Section, graph_of, section, shape_text
from transfuse.source.trace import Traced
from transfuse.types import Card, Tap


class Parts(Protocol):
    """What a structure method may run of its sources."""

    def section(self, member: str, begin: str | None, end: str | None) -> nn.Module:
        """A member from one tap (None: the canvas) to another (None: its features)."""
        ...

    def features(self, member: str) -> Front:
        """The front of a member's features."""
        ...

    def source(self, member: str) -> Source:
        """A member whole."""
        ...


class Borrowed(nn.Module):
    """A part of a source at work in something new: it runs here, but its parameters and modes are its source's."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.__dict__["part"] = part

    def forward(self, *blocks: Tensor) -> Tensor:
        return self.__dict__["part"](*blocks)

    def loose(self) -> list[nn.Parameter]:
        """Parameters that run without their module being called."""
        part = self.__dict__["part"]
        return part.loose() if isinstance(part, Section) else []

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Borrowed:
        # Moved to a device together with what is new; of modules that are shared, a second move changes nothing.
        self.__dict__["part"]._apply(fn)
        return self

    def extra_repr(self) -> str:
        return getattr(self.__dict__["part"], "label", type(self.__dict__["part"]).__name__)


class Opened:
    """Parts of opened sources: those of members are borrowed, the recipient's belong to what is new."""

    def __init__(self, members: Mapping[str, Source], recipient: Source | None = None) -> None:
        self.members = dict(members)
        self.recipient = recipient
        self._graphs: dict[str, Traced | None] = {}
        self._sections: dict[tuple[str, str | None, str], Section] = {}

    def source(self, member: str) -> Source:
        if member == RECIPIENT and self.recipient is not None:
            return self.recipient
        return self.members[member]

    def section(self, member: str, begin: str | None, end: str | None) -> nn.Module:
        found = self.source(member)
        if member not in self._graphs:
            self._graphs[member] = graph_of(found)
        key = member, begin, end or features_tap(found.card)
        if key not in self._sections:
            self._sections[key] = section(found, *key[1:], traced=self._graphs[member])
        made = self._sections[key]
        return made if found is self.recipient else Borrowed(made)

    def features(self, member: str) -> Front:
        return features_front(member, self.source(member).card, self)


def features_front(member: str, card: Card, parts: Parts) -> Front:
    """The front where a member's features are read."""
    tap = card.tap(features_tap(card))
    return Front(member, tap.name, tap.width, tap.size, tap.kind, "place", flexible=card.flexible, parts=parts)


class UnseenError(Exception):
    """A method wants a source itself while only cards are known; what it builds cannot be tried without weights."""


class Shapes:
    """Parts of sources known from their cards alone: they take blocks without rows, and give such."""

    def __init__(self, cards: Mapping[str, Card]) -> None:
        self.cards = cards

    def source(self, member: str) -> Source:
        raise UnseenError(member)

    def section(self, member: str, begin: str | None, end: str | None) -> nn.Module:
        card = self.cards[member]
        return Shape(member, card, None if begin is None else card.tap(begin), card.tap(end or features_tap(card)))

    def features(self, member: str) -> Front:
        return features_front(member, self.cards[member], self)


class Shape(nn.Module):
    """A stretch of a source as its card tells it: a block without rows in, another out."""

    def __init__(self, member: str, card: Card, begin: Tap | None, end: Tap) -> None:
        super().__init__()
        self.member, self.card, self.begin, self.end = member, card, begin, end

    def forward(self, block: Tensor) -> Tensor:
        scale = 1.0
        if self.begin is not None:
            require_joint(self.begin, block, f"{self.member}.{self.begin.name}", flexible=self.card.flexible)
            if self.begin.kind == "map" and self.begin.size:
                scale = block.shape[2] / self.begin.size[0]
        end = self.end
        if end.kind == "tokens":
            return block.new_empty(0, *end.size, end.width)
        sides = [max(1, round(side * scale)) for side in end.size] if end.kind == "map" else []
        return block.new_empty(0, end.width, *sides)


def require_joint(tap: Tap, block: Tensor, name: str, *, flexible: bool) -> None:
    """Raises UserError naming the place and both shapes, where a block cannot enter a source at a tap."""
    kinds = {2: "vector", 3: "tokens", 4: "map"}
    width = block.shape[-1] if block.dim() == 3 else block.shape[1]
    fits = kinds.get(block.dim()) == tap.kind and width == tap.width
    grid = tuple(block.shape[2:]) if block.dim() == 4 else (block.shape[1],) if block.dim() == 3 else ()
    if fits and tap.size and not flexible:
        fits = grid == tuple(tap.size)
    if not fits:
        raise UserError(
            "this block cannot enter the source there",
            where=name,
            expected=f"{tap.kind} {shape_text(tap)}",
            got=f"{kinds.get(block.dim(), 'a block')} {['N', *block.shape[1:]]}".replace("'", ""),
        )
