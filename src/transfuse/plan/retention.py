"""What sources still know of their own tasks once an arm has trained them; without it forgetting would go unseen.

Asked of the winner and the best single. A frozen member answers as it always did, so nothing is computed for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transfuse.plan.arms import ArmSpec
from transfuse.plan.exposures import places
from transfuse.plan.graph import Given, Ref, Select, Step, Work
from transfuse.reads import Read
from transfuse.types import Card

if TYPE_CHECKING:
    from transfuse.plan.build import Builder
    from transfuse.plan.ladder import Ladder
    from transfuse.plan.setting import RunRows, Setting


def has_head(card: Card) -> bool:
    """Whether a source answers a task of its own: what it gives is more than its last features."""
    last = card.taps.get("vector")
    return last is None or last.place != card.taps["logits"].place


def trains_members(arm: ArmSpec) -> bool:
    """Whether its members are no longer what they were: trained, or merged into one."""
    return arm.kind == "train" and (arm.merge is not None or arm.regime in ("partial", "full"))


def parts(build: Builder, arm: ArmSpec) -> list[ArmSpec]:
    """What holds sources: the arm itself, or all that a pool is made of."""
    if arm.of:
        return []
    if arm.kind != "pool":
        return [arm]
    return [part for member in arm.members for part in parts(build, build.arm(member))]


def retained(build: Builder, arms: Ladder, label: str, runs: Sequence[RunRows]) -> list[Select]:
    """What the evaluation needs, by `retain|PLACE|ARM|RUN|PART`; only for parts of which something must be computed."""
    selects = []
    for place, (choice, options) in places(arms).items() if arms.exposed else ():
        found: dict[str, dict[str, str]] = {
            name: {
                f"retain|{place}|{name}|{run.name}|{part.name}": _retain(build, part, run)
                for part in parts(build, arm)
                if _asked(build.setting, part)
                for run in runs
            }
            for name, arm in options.items()
        }
        selects += [Select(choice + label, found)] if any(found.values()) else []
    return selects


def holdings(build: Builder, arms: Ladder) -> dict[str, dict[str, dict[str, Any]]]:
    """By arm and part, whether the part moves its members, and which of them have a head: {number: source}."""
    return {
        name: {part.name: _holding(build.setting, part) for part in parts(build, arm)}
        for _, options in places(arms).values()
        for name, arm in options.items()
    }


def _holding(setting: Setting, part: ArmSpec) -> dict[str, Any]:
    members = {str(number): part.members[number] for number in _heads(setting, part)}
    return {"moves": trains_members(part), "members": members}


def unretained(setting: Setting) -> tuple[tuple[str, str], ...]:
    """What the report must say was not asked."""
    headless = [name for name, card in setting.cards.items() if not has_head(card)]
    found = [(f"retention of {name}", "the source has no head of its own") for name in headless]
    if not setting.own:
        found.append(("the sources' own tasks", "data.extra names no 'own:SOURCE'"))
    return tuple(found)


def _heads(setting: Setting, arm: ArmSpec) -> list[int]:
    return [number for number, member in enumerate(arm.members) if has_head(setting.cards[member])]


def _asked(setting: Setting, arm: ArmSpec) -> bool:
    if arm.kind == "as_is" and arm.merge is not None:
        # Its head is the merge's own, which answers the target's task.
        return False
    owned = any(arm.members[number] in setting.own for number in _heads(setting, arm))
    return bool(_heads(setting, arm)) and (trains_members(arm) or owned)


def _retain(build: Builder, arm: ArmSpec, run: RunRows) -> str:
    """Its members' own heads before and in it, on the selection rows and on their own tasks."""
    setting, heads = build.setting, _heads(build.setting, arm)
    fit = build.fit(arm, run)
    step = build.steps[fit]
    inputs: dict[str, Ref] = {"items": Given(setting.items_key), "rows": Given(run.key), "fit": fit}
    inputs |= {role: ref for role, ref in step.inputs.items() if role.startswith(("card", "merged"))}
    own: dict[str, str] = {}
    moves = trains_members(arm)
    for number in heads:
        source = arm.members[number]
        read = Read(source, "logits")
        alone = ArmSpec(f"as_is/{source}", "baseline", "single", "as_is", (source,), reads=(read,))
        if moves:
            inputs[f"before{number}"] = build.extract(alone, read, run.blocks[-1], judged=False)
        exposure = setting.own.get(source)
        if exposure is not None and exposure.items_key is not None:
            (block,) = exposure.covers
            inputs[f"own{number}"] = build.extract(alone, read, block, judged=False, exposure=exposure)
            inputs[f"own_items{number}"] = Given(exposure.items_key)
            own[str(number)] = exposure.name
    params: Mapping[str, Any] = {**step.params, "heads": heads, "own": own, "moves": moves}
    work = Work(arm.members, forward=run.held_count) if moves else Work()
    name = f"retain {arm.name} {run.name}"
    return build.add(Step(name, "retain", params, inputs, digests=step.digests, arm=arm.name, work=work))
