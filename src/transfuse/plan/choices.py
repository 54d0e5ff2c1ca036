"""Choices, all on selection rows: who is best, what the controls follow, and what a matched arm is brought up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transfuse.kinds import KINDS
from transfuse.plan.arms import ArmSpec
from transfuse.plan.build import Builder
from transfuse.plan.controls import TOGETHER
from transfuse.plan.graph import Given, Ref, Select, Step
from transfuse.plan.ladder import Ladder
from transfuse.plan.setting import RunRows, Scope
from transfuse.plan.slots import Roles

# A single is trained at most so many times as long as its own schedule says, to spend what a fusion has spent.
LONGEST_STRETCH = 50
# A head larger than this is no longer a head: the control is left out instead.
LARGEST_HEAD = 20_000_000
WIDEST_LAYER = 65_536


def fits(build: Builder, arm: ArmSpec, runs: Sequence[RunRows]) -> Roles:
    """The fits of one arm by `fit|ARM|RUN`."""
    return {f"fit|{arm.name}|{run.name}": build.fit(arm, run) for run in runs}


def add_choices(build: Builder, arms: Ladder, scope: Scope) -> None:
    """Best frozen single, best single, best frozen fusion, winner; what is tuned follows what is frozen."""
    label, runs = scope.label, scope.runs

    def every(group: Sequence[ArmSpec]) -> dict[str, Ref]:
        return {role: ref for arm in group for role, ref in fits(build, arm, runs).items()}

    def follow(choice: str, options: Mapping[str, ArmSpec]) -> list[Select]:
        found = {name: fits(build, arm, runs) for name, arm in options.items()}
        return [Select(choice + label, found)] if options else []

    ready = arms.ready
    _choose(build, f"best_frozen{label}", "lowest", every(arms.singles))
    tuned_singles = follow("best_frozen", arms.tuned_singles)
    _choose(build, f"best_single{label}", "lowest", every([*ready, *arms.singles]), tuned_singles)
    if not arms.candidates:
        return
    if arms.frozen_fusions:
        _choose(build, f"best_fusion{label}", "lowest", every([*arms.frozen_fusions.values()]))
    tuned_fusions = follow("best_fusion", arms.tuned_fusions)
    _choose(build, f"winner{label}", "lowest", every(arms.candidates), tuned_fusions)
    _economical(build, arms, scope, [*tuned_singles, *tuned_fusions])


def add_controls(build: Builder, arms: Ladder, scope: Scope) -> None:
    """What the controls follow, and what a matched one is brought up to."""
    if arms.networks:
        _controlled(build, arms, scope.label)
    for follower in arms.followers:
        for option, arm in follower.options.items():
            if arm.match:
                _match(build, arms, scope, option, arm)


def _choose(
    build: Builder, name: str, rule: str, inputs: Mapping[str, Ref], selects: Sequence[Select] = (), **params: Any
) -> str:
    """A choice among fitted arms rests on the primary metric; the usual loss of the kind stands in each fit already."""
    task, digests = build.setting.recipe.task, build.setting.metric_digests
    more: dict[str, Ref] = {}
    if rule in ("lowest", "economical") and task.metric != KINDS[task.kind].metric:
        params, more = {**params, "metric": task.metric}, {"items": Given(build.setting.items_key)}
    files = (digests[task.metric],) if more and task.metric in digests else ()
    return build.add(Step(name, "choose", {"rule": rule, **params}, {**inputs, **more}, tuple(selects), files))


def _economical(build: Builder, arms: Ladder, scope: Scope, tuned: Sequence[Select]) -> None:
    """The cheapest of all that may be shipped within the margin of the best."""
    every = (*arms.fixed, *arms.singles, *arms.candidates)
    ready = [arm for arm in every if arm.name != "prior" and arm.role != "control"]
    inputs: dict[str, Ref] = {}
    for arm in ready:
        inputs |= {f"count|{arm.name}|": build.count(arm, run=scope.runs[0]), **fits(build, arm, scope.runs)}
    forms = {**arms.tuned_singles, **arms.tuned_fusions}
    counted = [
        Select(
            select.choice,
            {name: {f"count|{forms[name].name}|": build.count(forms[name])} for name in select.options},
        )
        for select in tuned
    ]
    margin = build.setting.recipe.margin
    _choose(build, f"economical{scope.label}", "economical", inputs, [*tuned, *counted], margin=margin)


def _controlled(build: Builder, arms: Ladder, label: str) -> None:
    """What the controls are made of: the winner if it is one network, else the best frozen fusion; and copies of whom.

    Copies follow two choices at once: in whose way they are fused, and of which single.
    """
    asked: dict[str, Ref] = {"choice|0": f"winner{label}"}
    if arms.frozen_fusions:
        asked["choice|1"] = f"best_fusion{label}"
    _choose(build, f"controlled{label}", "first", asked, among=sorted(arms.networks))
    both: dict[str, Ref] = {"choice|0": f"controlled{label}", "choice|1": f"best_frozen{label}"}
    _choose(build, f"copied{label}", "together", both, joint=TOGETHER)


def _match(build: Builder, arms: Ladder, scope: Scope, option: str, arm: ArmSpec) -> None:
    """What the winner took to train, or its parameters, beside what the single needs for one step of training."""
    inputs: dict[str, Ref] = {"single": build.count(arm, after=f"@{option} unmatched")}
    inputs |= {f"rows|{run.name}": Given(run.key) for run in scope.runs}
    known = {**arms.arms(), **arms.contenders}
    options: dict[str, Roles] = {}
    for name, fusion in arms.contenders.items():
        options[name] = {"winner": build.count(fusion)}
        for index, part in enumerate(parts(fusion, known) if arm.match == "flops" else ()):
            options[name] |= {f"count|{index}": build.count(part)}
            options[name] |= {f"fit|{index}|{run.name}": build.fit(part, run) for run in scope.runs}
    width = sum(build.setting.cards[read.member].tap(read.tap).width for read in arm.reads)
    params: dict[str, Any] = {"rule": arm.match, "schedule": None if arm.schedule is None else arm.schedule.record()}
    params |= {"width": width, "classes": len(build.setting.classes)}
    params |= {"longest": LONGEST_STRETCH, "largest": LARGEST_HEAD, "widest": WIDEST_LAYER}
    name = build.match(arm, f"@{option}", scope.runs[0])
    build.add(Step(name, "match", params, inputs, (Select(f"winner{scope.label}", options),)))


def parts(arm: ArmSpec, known: Mapping[str, ArmSpec]) -> list[ArmSpec]:
    """What was trained for an arm: itself and its teachers, or for a pool whatever its members were made of."""
    own, others = ([], arm.members) if arm.kind == "pool" else ([arm], arm.teachers or ((arm.of,) if arm.of else ()))
    return [*own, *(part for other in others for part in parts(known[other], known))]
