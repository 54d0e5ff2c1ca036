"""Hidden units that must be reordered together: without this ledger a permuted network would compute something else.

An *order* is one permutation of `count` blocks; a *part* is `width` units inside every block, with an order of their
own in each. A layer's free channels are blocks of one unit; attention heads are blocks whose query-key units and value
units are two parts; the channels between grouped convolutions are blocks too. A *segment* says where a part lies on an
axis: its units one after the other, each taking `repeat` neighbouring places.

What is found to belong together is joined, what is found to have structure is refined, and what cannot be followed is
pinned: it stays where it is, with the reason. Pinning is always safe, since the identity changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(eq=False)
class Order:
    """A permutation of blocks to be found; `pinned` says why it must be the identity."""

    count: int
    pinned: str = ""
    joined: Order | None = None

    def found(self) -> Order:
        """What this order has been joined into."""
        return self if self.joined is None else self.joined.found()


@dataclass(eq=False)
class Part:
    """Units inside the blocks of an order; `became` are the finer parts that lie in its place, one after the other."""

    order: Order
    width: int = 1
    became: list[Part] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.order.found().count * self.width


Segment = tuple[Part, int]


def free(count: int) -> Part:
    """Units of which any order is as good."""
    return Part(Order(count))


def resolved(segments: Sequence[Segment]) -> list[Segment]:
    """The segments with refined parts replaced by what they became."""
    found: list[Segment] = []
    for part, repeat in segments:
        found += resolved([(fine, repeat) for fine in part.became]) if part.became else [(part, repeat)]
    return found


def length(segments: Sequence[Segment]) -> int:
    """How many places the segments take."""
    return sum(part.size * repeat for part, repeat in segments)


def pin(segments: Sequence[Segment], reason: str) -> None:
    """Let these units stay where they are."""
    for part, _ in resolved(segments):
        order = part.order.found()
        order.pinned = order.pinned or reason


def join_orders(first: Order, second: Order, reason: str) -> None:
    """Make two orders one; where their numbers of blocks differ both are pinned."""
    a, b = first.found(), second.found()
    if a is b:
        return
    if a.count != b.count:
        a.pinned, b.pinned = a.pinned or reason, b.pinned or reason
        return
    a.pinned = a.pinned or b.pinned
    b.joined = a


def join(first: Sequence[Segment], second: Sequence[Segment], reason: str) -> None:
    """Both lie on one axis, so their units are the same units; what cannot be told apart is pinned."""
    a, b = resolved(first), resolved(second)
    if len(a) == len(b):
        for (part, repeat), (other, again) in zip(a, b, strict=True):
            _join_parts((part, repeat), (other, again), reason)
    elif len(a) == 1 and _takes(a[0], b):
        _becomes(a[0][0], [part for part, _ in b])
    elif len(b) == 1 and _takes(b[0], a):
        _becomes(b[0][0], [part for part, _ in a])
    else:
        pin([*a, *b], reason)


def _takes(segment: Segment, others: Sequence[Segment]) -> bool:
    """Whether free units may be given the structure of other segments of the same length."""
    part, repeat = segment
    single = part.width == 1 and repeat == 1 and all(again == 1 for _, again in others)
    return single and part.size == length(others) and part not in [other for other, _ in others]


def _join_parts(first: Segment, second: Segment, reason: str) -> None:
    (a, repeat), (b, again) = first, second
    if a is b and repeat == again:
        return
    if repeat != again or a.size != b.size:
        pin([first, second], reason)
    elif a.width == b.width:
        join_orders(a.order, b.order, reason)
        _becomes(b, [a])
    elif a.width == 1:
        _becomes(a, [b])
    elif b.width == 1:
        _becomes(b, [a])
    else:
        pin([first, second], reason)


def _becomes(part: Part, fine: list[Part]) -> None:
    if why := part.order.found().pinned:
        pin([(one, 1) for one in fine], why)
    part.became = fine


def refine(part: Part, blocks: int, reason: str) -> Part | None:
    """The same units as `blocks` blocks; None (and pinned) where they have another structure already."""
    if part.width > 1 and part.order.found().count == blocks:
        return part
    if part.width > 1 or part.size % blocks:
        pin([(part, 1)], reason)
        return None
    fine = Part(Order(blocks), part.size // blocks)
    _becomes(part, [fine])
    return fine


def divide(part: Part, copies: int, reason: str) -> list[Part]:
    """Free units as several runs of free units, one after the other; pinned where they are not free."""
    if part.width > 1 or part.size % copies:
        pin([(part, 1)], reason)
        return []
    runs = [free(part.size // copies) for _ in range(copies)]
    _becomes(part, runs)
    return runs
