"""What a method is given and what it must give back, family by family.

    weights    merge(unit: Unit) -> [*S]                      numpy or torch alike; `reference(unit)` is the slow law
               in passes before: survey(unit, found) -> found over the units of a tensor, gather(total, name, found)
               -> total over tensors, settle(total, settings) -> whole. `SURVEYS`, or surveys(settings) where they
               depend on these, has a number a pass: it sees every so many-th entry. A `whole` whose key "again" is
               true has the last pass repeated. A method that is a plain sum may have coefficients(unit) -> [K] (and
               the base's after them) of a unit without entries: the lift then adds up sum_k c_k x_k itself, faster
    features   Fuser(widths, **settings): nn.Module           K of [N, D_k] -> [N, width]; may have shares(blocks)
    structure  build(fronts, **settings) -> nn.Module         blocks as they are read -> [N, width]; may have
               settle(blocks, targets), called once with training rows, and start(classes) -> a head's weight and bias
    outputs    fit(probabilities [K, N, C], targets, **settings) -> state;  apply(state, probabilities) -> [N, C]
               NEEDS = ("about",): fit is also given `about` (About). TRAITS stops_early: in place of `apply` it has
               order(state) -> members;  stage(state, kept, place, probabilities [n, C] of the member at that place)
               -> [n, C], enough [n], kept: arrays by name, one entry a row, {} before the first member

A method knows no file, no device and no architecture; the lifts of this folder do what is common to all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transfuse.reads import CANVAS, Use
from transfuse.types import TapKind

if TYPE_CHECKING:
    from torch import nn

    from transfuse.fusion.parts import Parts
    from transfuse.source.base import Source


@dataclass(frozen=True)
class Unit:
    """One tensor of all members: `x [K, *S]` in float64 or float32, `w [K]`, the base's tensor where there is one.

    `settings` are the method's declared parameters, `stat` holds what was collected of the members by the names in the
    method's `NEEDS` ([K, *S] where it goes entry by entry, else [K, ...]; a tensor without it lacks the key), `whole`
    what surveys of all tensors came to. A method changes none of them in place. `w` are shares (any scale, sum not
    zero) unless the method's trait `weights` says `scales`: then they multiply what a member adds to the base. Where
    the trait `elementwise` says that entries stand alone, a unit is the `piece`-th part of a tensor, flat; `rng` is its
    own. Numbers come in float32 only where all are stored so and the trait `float32` says that the method widens them.
    """

    name: str
    x: Any
    w: Any
    rng: Any
    base: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    stat: Mapping[str, Any] = field(default_factory=dict)
    whole: Any = None
    piece: int = 0


@dataclass(frozen=True)
class About:
    """What pooled members are beside their answers.

    `known [K, C]` tells which classes are a member's own: what it leaves it has spread over the others. `cost [K]` is
    what one item costs (FLOPs, or any other unit that all share).
    """

    known: Any
    cost: Any

    @classmethod
    def plain(cls, members: int, classes: int) -> About:
        """Members that know every class and cost the same."""
        import numpy as np

        return cls(np.ones((members, classes), dtype=bool), np.ones(members))


@dataclass(frozen=True)
class Front:
    """One thing that a structure method reads, or a place it may use, as its `READS` ask for.

    Blocks come to the method's module in the order of the fronts whose `use` is `block`; `size` is the grid or token
    count at the canvas the sources were looked at, `flexible` whether the source takes other grids there. `parts` runs
    stretches of the sources.
    """

    member: str
    tap: str
    width: int
    size: tuple[int, ...]
    kind: TapKind = "map"
    use: Use = "block"
    host: bool = False
    flexible: bool = True
    parts: Parts | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """`MEMBER.TAP`, as messages name it."""
        return self.tap if not self.member else f"{self.member}.{self.tap}"

    @property
    def of_canvas(self) -> bool:
        return not self.member and self.tap == CANVAS

    @property
    def given(self) -> Parts:
        """The sources' parts. A method without `READS` that ask for them gets none."""
        if self.parts is None:
            raise TypeError(f"{self.name}: the method's READS ask for blocks only, so it gets no parts of sources")
        return self.parts

    def to(self, tap: str | None) -> nn.Module:
        """The source from here to another of its taps, or to its features (None)."""
        return self.given.section(self.member, self.tap, tap)

    def begin(self) -> nn.Module:
        """The source from the canvas to here."""
        return self.given.section(self.member, None, self.tap)

    @property
    def features(self) -> Front:
        """Where the source's features are read."""
        return self.given.features(self.member)

    @property
    def source(self) -> Source:
        """The source itself, to run it whole."""
        return self.given.source(self.member)
