"""What a method is given and what it must give back, family by family.

    weights    merge(unit: Unit) -> [*S]                      numpy or torch alike; `reference(unit)` is the slow law
               in passes before: survey(unit, found) -> found over the units of a tensor, gather(total, name, found)
               -> total over tensors, settle(total, settings) -> whole. `SURVEYS` has a number a pass: it sees every
               so many-th entry. A `whole` whose key "again" is true has the last pass repeated
    features   Fuser(widths, **settings): nn.Module           K of [N, D_k] -> [N, width]; may have shares(blocks)
    structure  build(fronts, **settings) -> nn.Module         K of [N, C_k, H_k, W_k] -> [N, width]
    outputs    fit(probabilities [K, N, C], targets, **settings) -> state;  apply(state, probabilities) -> [N, C]

A method knows no file, no device and no architecture; the lifts of this folder do what is common to all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Unit:
    """One tensor of all members: `x [K, *S]` in float64 or float32, `w [K]`, the base's tensor where there is one.

    `settings` are the method's declared parameters, `stat` holds what was collected of the members by the names in the
    method's `NEEDS` ([K, *S] where it goes entry by entry, else [K, ...]; a tensor without it lacks the key), `whole`
    what surveys of all tensors came to. A method changes none of them in place. `w` are shares (any scale, sum not
    zero) unless the method's trait `weights` says `scales`: then they multiply what a member adds to the base. Where
    the trait `elementwise` says that entries stand alone, a unit is the `piece`-th part of a tensor, flat; `rng` is its
    own.
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
class Front:
    """The kept part of one member as a structure method sees it: what crosses the joint."""

    member: str
    tap: str
    width: int
    size: tuple[int, ...]
