"""`tuned/X` as a member: without this file only the best single's tuned form could be pooled or compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transfuse.plan.arms import ArmSpec, Scene

TUNED, FROZEN, POOLS = "tuned/", "frozen/", "outputs/"


def tuned_form(scene: Scene, name: str, known: Mapping[str, ArmSpec]) -> dict[str, ArmSpec]:
    """`tuned/X` where that is asked for and nobody has it yet: the frozen arm X, trained in full. Else nothing."""
    if name in known or not name.startswith(TUNED):
        return {}
    stem = name.removeprefix(TUNED)
    frozen = known.get(f"{FROZEN}{stem}") or known.get(stem)
    if frozen is None or frozen.kind != "train" or frozen.regime != "frozen":
        return {}
    return {name: replace(frozen, name=name, schedule=scene.schedule("full"))}


def tuned_members(scene: Scene, facts: Mapping[str, Any], known: Mapping[str, ArmSpec]) -> dict[str, ArmSpec]:
    """The tuned arms that a pool of predictions asks for and that must be fitted for it."""
    of, found = facts.get("of"), {}
    if str(facts.get("fuse")).startswith(POOLS) and isinstance(of, list):
        for name in of:
            found |= tuned_form(scene, str(name), {**known, **found})
    return found
