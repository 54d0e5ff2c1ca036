"""The whole plan: arms fitted, choices made, judged rows opened for what was chosen, evidence, delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transfuse.jsonio import digest, plain
from transfuse.plan.arms import ArmSpec
from transfuse.plan.build import Builder, RunRows, Setting
from transfuse.plan.graph import Given, Plan, Ref, Select, Step
from transfuse.plan.ladder import Ladder
from transfuse.plan.recipe import Recipe

Roles = dict[str, str]


@dataclass(frozen=True)
class Scope:
    """Runs that share one choice: all seeds of a locked protocol, or one fold of a cross-fitted one."""

    label: str
    runs: tuple[RunRows, ...]


@dataclass(frozen=True)
class Slot:
    """A place in the evaluation: an arm, or whatever a choice put there."""

    name: str
    options: Mapping[str, tuple[ArmSpec, str]]
    choice: str | None = None


def make_plan(setting: Setting, arms: Ladder) -> Plan:
    """All steps from the ladder; targets are the evidence, the delivery and the measurements."""
    build = Builder(setting, arms=arms.arms())
    scopes = (
        [Scope("", setting.runs)]
        if setting.protocol == "locked"
        else [Scope(f" {run.name}", (run,)) for run in setting.runs]
    )
    for scope in scopes:
        _choices(build, arms, scope)
    if setting.final is not None:
        _choices(build, arms, Scope(" final", (setting.final,)))
    slots = _slots(setting.recipe, arms)
    measure = _measure(build, slots, scopes[0])
    evaluate = _evaluate(build, arms, slots, scopes, measure)
    ship = _ship(build, slots, evaluate)
    skipped = (
        arms.not_measured if arms.randoms else (*arms.not_measured, ("random/…", "no frozen fusion of two sources"))
    )
    return Plan(build.steps, (evaluate, ship, measure), tuple(dict.fromkeys(skipped)), _facts(setting, slots))


def _facts(setting: Setting, slots: Sequence[Slot]) -> dict[str, Any]:
    return {"identity": setting.identity, "slots": [slot.name for slot in slots], "protocol": setting.protocol}


def _slots(recipe: Recipe, arms: Ladder) -> list[Slot]:
    fixed = [Slot(arm.name, {arm.name: (arm, "")}) for arm in (*arms.fixed, *arms.singles)]
    tuned = Slot("tuned_single", {name: (arm, "") for name, arm in arms.tuned_singles.items()}, "best_frozen")
    copied = Slot("copies", {name: (arm, f"@{name}") for name, arm in arms.copies.items()}, "best_frozen")
    members = list(dict.fromkeys(member for group in arms.randoms.values() for member in group))
    randoms = [
        Slot(
            f"random/{member}",
            {name: (group[member], f"@{name}") for name, group in arms.randoms.items() if member in group},
            "best_fusion",
        )
        for member in members
    ]
    scratch = Slot("scratch", {name: (arm, f"@{name}") for name, arm in arms.scratch.items()}, "best_fusion")
    contenders = {arm.name: (arm, "") for arm in (*arms.candidates, *arms.tuned_fusions.values())}
    shippable = contenders | {
        name: pair for slot in (*fixed, tuned) for name, pair in slot.options.items() if name != "prior"
    }
    chosen = (
        [Slot("best_fusion", contenders, "winner"), Slot("economical", shippable, "economical")] if contenders else []
    )
    every = [Slot(arm.name, {arm.name: (arm, "")}) for arm in arms.candidates] if recipe.judge.test == "all" else []
    return [slot for slot in (*fixed, tuned, *every, *chosen, copied, *randoms, scratch) if slot.options]


def ships(slot: Slot) -> bool:
    """Whether what stands there may be recommended: controls and the prior may not."""
    return slot.name not in ("copies", "scratch", "prior") and not slot.name.startswith("random/")


def _fits(build: Builder, arm: ArmSpec, runs: Sequence[RunRows]) -> Roles:
    return {f"fit|{arm.name}|{run.name}": build.fit(arm, run) for run in runs}


def _choose(
    build: Builder, name: str, rule: str, inputs: Mapping[str, Ref], selects: Sequence[Select] = (), **params: Any
) -> str:
    return build.add(Step(name, "choose", {"rule": rule, **params}, inputs, tuple(selects)))


def _choices(build: Builder, arms: Ladder, scope: Scope) -> None:
    """Who is best, always on selection rows: frozen single, frozen fusion, then with what is tuned after them."""
    label, runs = scope.label, scope.runs

    def fits(group: Sequence[ArmSpec]) -> dict[str, Ref]:
        return {role: ref for arm in group for role, ref in _fits(build, arm, runs).items()}

    def follow(choice: str, options: Mapping[str, ArmSpec]) -> list[Select]:
        return (
            [Select(choice + label, {name: _fits(build, arm, runs) for name, arm in options.items()})]
            if options
            else []
        )

    ready = [arm for arm in arms.fixed if arm.kind == "as_is"]
    _choose(build, f"best_frozen{label}", "lowest", fits(arms.singles))
    tuned_singles = follow("best_frozen", arms.tuned_singles)
    _choose(build, f"best_single{label}", "lowest", fits([*ready, *arms.singles]), tuned_singles)
    if not arms.candidates:
        return
    frozen = [arm for arm in arms.candidates if arm.name in arms.randoms or arm.name in arms.scratch]
    if frozen:
        _choose(build, f"best_fusion{label}", "lowest", fits(frozen))
    tuned_fusions = follow("best_fusion", arms.tuned_fusions)
    _choose(build, f"winner{label}", "lowest", fits(arms.candidates), tuned_fusions)
    others = [arm for arm in arms.fixed if arm.name != "prior"]
    counts: dict[str, Ref] = {
        f"count|{arm.name}|": build.count(arm) for arm in (*others, *arms.singles, *arms.candidates)
    }
    counted = [
        Select(select.choice, {name: {f"count|{arm.name}|": build.count(arm)} for name, arm in options.items()})
        for select, options in zip(
            [*tuned_singles, *tuned_fusions], [arms.tuned_singles, arms.tuned_fusions], strict=False
        )
    ]
    _choose(
        build,
        f"economical{label}",
        "economical",
        fits([*others, *arms.singles, *arms.candidates]) | counts,
        [*tuned_singles, *tuned_fusions, *counted],
        margin=build.setting.recipe.margin,
    )


def _entries(build: Builder, slot: Slot, option: str, runs: Sequence[RunRows], *, judged: bool) -> Roles:
    arm, after = slot.options[option]
    roles = {f"count|{slot.name}|{arm.name}|": build.count(arm, after=after)}
    for run in runs:
        roles[f"fit|{slot.name}|{arm.name}|{run.name}"] = build.fit(arm, run, after=after)
        if judged:
            roles[f"predict|{slot.name}|{arm.name}|{run.name}"] = build.predict(arm, run, after=after)
    return roles


def _evaluate(build: Builder, arms: Ladder, slots: Sequence[Slot], scopes: Sequence[Scope], measure: str) -> str:
    setting = build.setting
    inputs: dict[str, Ref] = {"items": Given(setting.items_key)}
    inputs |= {f"rows|{run.name}": Given(run.key) for run in setting.runs}
    if setting.recipe.budget.latency is not None:
        inputs["measure"] = measure
    selects: list[Select] = []
    for scope in scopes:
        inputs[f"choice|best_single|{scope.label.strip()}"] = f"best_single{scope.label}"
        if arms.candidates:
            inputs[f"choice|winner|{scope.label.strip()}"] = f"winner{scope.label}"
        for arm in arms.candidates:
            inputs |= {f"fit||{arm.name}|{run.name}": build.fit(arm, run) for run in scope.runs}
        for slot in slots:
            options = {name: _entries(build, slot, name, scope.runs, judged=True) for name in slot.options}
            if slot.choice is None:
                inputs |= options[slot.name]
            else:
                selects.append(Select(slot.choice + scope.label, options))
    described = {arm.name: describe(arm) for slot in slots for arm, _ in slot.options.values()}
    described |= {arm.name: describe(arm) for arm in arms.candidates}
    params = {
        "task": plain(setting.recipe.task.model_dump()) | {"classes": list(setting.classes)},
        "margin": setting.recipe.margin,
        "latency": setting.recipe.budget.latency,
        "protocol": setting.protocol,
        "slots": [slot.name for slot in slots],
        "arms": described,
        "seen": {name: card.seen for name, card in setting.cards.items()},
        "leaks": list(setting.leaks),
    }
    return build.add(Step("evaluate", "evaluate", params, inputs, tuple(selects), opens_test=True))


def describe(arm: ArmSpec) -> dict[str, Any]:
    """What the evidence says of an arm."""
    train = "none" if arm.schedule is None else arm.regime
    return {
        "role": arm.role,
        "members": list(arm.members),
        "method": arm.method if arm.merge is None else str(arm.merge["method"]),
        "train": train,
        "form": arm.form,
        "settings": dict(arm.settings),
        "schedule": None if arm.schedule is None else arm.schedule.record(),
    }


def _ship(build: Builder, slots: Sequence[Slot], evaluate: str) -> str:
    """What is delivered: the recommended arm, fitted to all rows where folds were used."""
    setting = build.setting
    runs = setting.runs if setting.final is None else (setting.final,)
    options: dict[str, Roles] = {}
    for slot in slots:
        if not ships(slot):
            continue
        for name in slot.options:
            arm, _ = slot.options[name]
            options[arm.name] = _fits(build, arm, runs)
        if slot.choice is not None and setting.final is not None:
            source = {"tuned_single": "best_single"}.get(slot.name, slot.choice)
            options[slot.name] = {f"choice|{slot.name}": f"{source} final"}
    return build.add(Step("ship", "ship", {}, {}, (Select(evaluate, options),)))


def _measure(build: Builder, slots: Sequence[Slot], scope: Scope) -> str:
    """Latency and memory of what could be shipped; measured once, never part of the evidence."""
    inputs: dict[str, Ref] = {}
    selects: list[Select] = []
    run = scope.runs[0]
    for slot in slots:
        if not ships(slot):
            continue
        options = {name: {f"fit|{arm.name}": build.fit(arm, run)} for name, (arm, _) in slot.options.items()}
        if slot.choice is None:
            inputs |= options[slot.name]
        else:
            selects.append(Select(slot.choice + scope.label, options))
    return build.add(Step("measure", "measure", {**build.common, "machine": machine()}, inputs, tuple(selects)))


def machine() -> str:
    """A name for this machine's speed: measurements of another machine are not taken over."""
    import os
    import platform
    from pathlib import Path

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return digest([platform.machine(), models[:1], os.cpu_count()])[:16]
