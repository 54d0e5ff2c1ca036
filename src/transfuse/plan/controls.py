"""Controls: the same network with one thing taken away; without them nobody could say where a gain comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from transfuse.fields import IMAGE, views
from transfuse.plan.arms import ArmSpec, Scene, single
from transfuse.reads import RECIPIENT, Read, pools, reads_of
from transfuse.registry import method
from transfuse.schedules import Schedule

TOGETHER = " with "


def connected(arm: ArmSpec) -> bool:
    """Whether the arm is one trained network of its sources alone: no pool, no merge of weights, and nobody who hears
    more than labelled rows, such as a student."""
    return arm.kind == "train" and arm.merge is None and not arm.hears


def branches(arm: ArmSpec) -> int:
    """How many branches a network has: its blocks, or its sources where a method reads several blocks of each."""
    return len(arm.members) + arm.recipient if method(arm.method).reads else len(arm.reads)


def copies(fusion: ArmSpec, alone: ArmSpec, field: str = IMAGE) -> ArmSpec:
    """As many copies of one source as the fusion has branches, each on another view of the canvas, fused in its way.

    A fusion that reads more than features works inside its members, where one source has no views to give: copies are
    concatenated.
    """
    looks = views(field)[: branches(fusion)]
    reads = tuple(replace(read, view=view) for view in looks for read in alone.reads)
    how_read = method(fusion.method)
    shared = pools(how_read) and not how_read.reads
    how = (fusion.method, fusion.settings) if shared else (alone.method, alone.settings)
    plan = restricted(fusion.schedule, alone.members)
    return replace(
        alone, name="copies", role="control", form="fused", reads=reads, method=how[0], settings=how[1], schedule=plan
    )


def random(fusion: ArmSpec, member: str) -> ArmSpec:
    """The same network, trained alike, with one member re-initialised; a recipient starts with nothing of it."""
    start = "" if fusion.start == member else fusion.start
    return replace(fusion, name=f"random/{member}", role="control", random=(member,), start=start)


def scratch(fusion: ArmSpec, plan: Schedule) -> ArmSpec:
    """The same network with nothing pretrained, trained in full."""
    own = (RECIPIENT,) if fusion.recipient else ()
    return replace(fusion, name="scratch", role="control", schedule=plan, random=(*fusion.members, *own))


def without(scene: Scene, arm: ArmSpec, source: str, known: Mapping[str, ArmSpec]) -> ArmSpec | None:
    """The same arm, trained alike, without one source; None where nothing is left or the arm does not hold it so.

    With one source left no fusion is left either: what remains is a linear head on that source, which has the same key
    as that source's own arm, so that nothing is trained twice. Of a pool the members made of this source alone go.
    """
    name = f"without/{source}"
    if arm.kind == "pool":
        return _pool_without(arm, source, known, name)
    if arm.of:
        # What was compressed is a network that was fitted with this source.
        return None
    rest = tuple(member for member in arm.members if member != source)
    if not rest or source not in arm.members or arm.hears:
        return None
    if arm.kind == "as_is":
        # What its columns stand for is what all members say together.
        return None if arm.columns else _merge_without(arm, rest, name)
    plan = restricted(arm.schedule, rest)
    if len(rest) == 1 and not arm.recipient:
        frozen = scene.schedule("frozen")
        return replace(
            single(scene, name, rest[0], frozen if arm.regime == "frozen" else plan or frozen), role="control"
        )
    if arm.merge is None:
        reads = _reads_without(scene, arm, rest, source)
        start = "" if arm.start == source else arm.start
        return replace(arm, name=name, role="control", members=rest, reads=reads, schedule=plan, start=start)
    base = single(scene, name, rest[0], plan or scene.schedule("frozen"))
    return replace(base, role="control", form="soup", members=rest, merge=_merging(arm, rest))


def _merging(arm: ArmSpec, rest: tuple[str, ...]) -> Mapping[str, Any] | None:
    """The same merge of the rest; one source alone is merged with nothing."""
    if arm.merge is None or len(rest) == 1:
        return None
    weights = arm.merge.get("weights")
    if isinstance(weights, list):
        weights = [share for member, share in zip(arm.members, weights, strict=True) if member in rest]
    return {**arm.merge, "weights": weights}


def _merge_without(arm: ArmSpec, rest: tuple[str, ...], name: str) -> ArmSpec:
    """A merge with its members' own head, of the rest of them."""
    reads = (replace(arm.reads[0], member=rest[0]),)
    return replace(arm, name=name, role="control", members=rest, reads=reads, merge=_merging(arm, rest))


def _reads_without(scene: Scene, arm: ArmSpec, rest: Sequence[str], source: str) -> tuple[Read, ...]:
    """What is left to read; where sources have roles these are given anew, at the method's own cuts."""
    entry = method(arm.method)
    if not entry.reads:
        return tuple(read for read in arm.reads if read.member != source)
    left = {member: scene.cards[member] for member in rest}
    return tuple(reads_of(entry, left, recipient=scene.own if arm.recipient else None))


def _pool_without(arm: ArmSpec, source: str, known: Mapping[str, ArmSpec], name: str) -> ArmSpec | None:
    holding = [member for member in arm.members if source in known[member].members]
    rest = tuple(member for member in arm.members if member not in holding)
    if not holding or not rest or any(len(known[member].members) > 1 for member in holding):
        return None
    if any(known[member].hears for member in arm.members):
        return None
    return replace(known[rest[0]] if len(rest) == 1 else replace(arm, members=rest), name=name, role="control")


def restricted(plan: Schedule | None, members: Sequence[str]) -> Schedule | None:
    """A schedule for some of the members: a partial one keeps their frontiers only, and is full where none is left."""
    if plan is None or not plan.until:
        return plan
    kept = [until for until in map(str.strip, plan.until.split(",")) if until.startswith(_places(members))]
    return replace(plan, until=", ".join(kept)) if kept else replace(plan, regime="full", until=None)


def _places(members: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{member}." for member in members)
