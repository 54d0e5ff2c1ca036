"""Places in the evaluation: an arm, or whatever a choice put there; without them steps would know the whole ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transfuse.plan.arms import ArmSpec
from transfuse.plan.build import Builder
from transfuse.plan.ladder import Ladder
from transfuse.plan.recipe import Recipe
from transfuse.plan.setting import RunRows

Roles = dict[str, str]


@dataclass(frozen=True)
class Slot:
    """A place and who may stand there: by the answers of `choice`, or the one arm of that name.

    `after` marks the steps of arms that share a name, since only the choice tells which of them runs.
    """

    name: str
    options: Mapping[str, ArmSpec]
    choice: str | None = None
    after: bool = False

    def mark(self, option: str) -> str:
        """What tells this option's steps from those of another option of the same name."""
        return f"@{option}" if self.after else ""

    @property
    def ships(self) -> bool:
        """Whether what stands there may be recommended: controls and the prior may not."""
        return self.name != "prior" and all(arm.role in ("candidate", "baseline") for arm in self.options.values())


def slots_of(recipe: Recipe, arms: Ladder) -> list[Slot]:
    """All places in their order: what always runs, what was chosen, then the controls."""
    fixed = [Slot(arm.name, {arm.name: arm}) for arm in (*arms.fixed, *arms.singles)]
    tuned = Slot("tuned_single", arms.tuned_singles, "best_frozen")
    every = [Slot(arm.name, {arm.name: arm}) for arm in arms.candidates] if recipe.judge.test == "all" else []
    shippable = {arm.name: arm for arm in (*arms.fixed, *arms.singles, *arms.tuned_singles.values())}
    shippable = {name: arm for name, arm in shippable.items() if name != "prior" and arm.role != "control"}
    shippable = arms.contenders | shippable
    chosen = [Slot("best_fusion", arms.contenders, "winner"), Slot("economical", shippable, "economical")]
    whole = {name: arms.arms()[arm.of] for name, arm in arms.contenders.items() if arm.of}
    chosen.append(Slot("uncompressed", whole, "winner"))
    controls = [Slot(found.name, found.options, found.choice, after=True) for found in arms.followers]
    return [slot for slot in (*fixed, tuned, *every, *(chosen if arms.contenders else []), *controls) if slot.options]


def entries(build: Builder, slot: Slot, option: str, runs: Sequence[RunRows]) -> Roles:
    """What the evaluation needs of one option, by `fit|SLOT|ARM|RUN`, `predict|SLOT|ARM|RUN` and `count|SLOT|ARM|`."""
    arm, after = slot.options[option], slot.mark(option)
    known = identity(build, slot, option, runs[0])
    roles = {f"count|{slot.name}|{known}|": build.count(arm, after=after, run=runs[0])}
    for run in runs:
        roles[f"fit|{slot.name}|{known}|{run.name}"] = build.fit(arm, run, after=after)
        roles[f"predict|{slot.name}|{known}|{run.name}"] = build.predict(arm, run, after=after)
    return roles


def identity(build: Builder, slot: Slot, option: str, run: RunRows) -> str:
    """An arm's name and, after `@`, what tells it from others of that name."""
    arm = slot.options[option]
    return arm.name + slot.mark(option) + (build.setting.label(run) if arm.match else "")


def described(build: Builder, slots: Sequence[Slot], others: Sequence[ArmSpec]) -> dict[str, dict[str, Any]]:
    """What the evidence says of every arm that may stand somewhere, by identity."""
    found = {
        identity(build, slot, option, scope.runs[0]): describe(arm)
        for slot in slots
        for option, arm in slot.options.items()
        for scope in build.setting.scopes
    }
    return found | {arm.name: describe(arm) for arm in others}


def describe(arm: ArmSpec) -> dict[str, Any]:
    """What the evidence says of an arm."""
    return {
        "kind": arm.kind,
        "role": arm.role,
        "members": [arm.of] if arm.of else list(arm.members),
        "method": arm.method if arm.merge is None else str(arm.merge["method"]),
        "train": "none" if arm.schedule is None else arm.regime,
        "form": arm.form,
        "settings": dict(arm.settings),
        "schedule": None if arm.schedule is None else arm.schedule.record(),
        **({"teachers": list(arm.teachers)} if arm.teachers else {}),
        **({"of": arm.of} if arm.of else {}),
    }
