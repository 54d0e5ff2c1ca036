"""The whole plan: arms fitted, choices made, judged rows opened for what was chosen, evidence, delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transfuse.jsonio import digest, plain
from transfuse.plan.arms import ArmSpec
from transfuse.plan.build import Builder
from transfuse.plan.choices import add_choices, add_controls, fits
from transfuse.plan.exposures import exposed, unexposed
from transfuse.plan.graph import Given, Plan, Ref, Select, Step, Work
from transfuse.plan.ladder import Ladder
from transfuse.plan.retention import has_head, holdings, retained, unretained
from transfuse.plan.setting import Scope, Setting
from transfuse.plan.slots import Roles, Slot, described, entries, identity, slots_of
from transfuse.plan.stitches import stitches
from transfuse.reads import Read

# Of the comparison of rows with rows; one core of a common machine.
PRODUCTS_A_SECOND = 1e10


def make_plan(setting: Setting, arms: Ladder) -> Plan:
    """All steps from the ladder; targets are the evidence, the delivery and the measurements."""
    build = Builder(setting, arms=arms.arms())
    for scope in setting.scopes:
        add_choices(build, arms.within(scope.label), scope)
        add_controls(build, arms, scope)
    if setting.final is not None:
        add_choices(build, arms.within(" final"), Scope(" final", (setting.final,)))
    slots = slots_of(setting.recipe, arms)
    measure = _measure(build, slots, setting.scopes[0])
    stitched, unstitched = stitches(build)
    evaluate = _evaluate(build, arms, slots, {"measure": measure, **stitched})
    ship = _ship(build, slots, evaluate)
    told = (*arms.not_measured, *unexposed(setting.exposures), *unretained(setting), *unstitched)
    skipped = dict.fromkeys(told)
    return Plan(build.steps, (evaluate, ship, measure), tuple(skipped), _facts(setting, slots))


def _facts(setting: Setting, slots: Sequence[Slot]) -> dict[str, Any]:
    return {"identity": setting.identity, "slots": [slot.name for slot in slots], "protocol": setting.protocol}


def _evaluate(build: Builder, arms: Ladder, slots: Sequence[Slot], more: Mapping[str, Ref]) -> str:
    """The judging of all that stands; `more` are measurements, and stitches, which no arm rests on."""
    setting = build.setting
    inputs: dict[str, Ref] = {role: ref for role, ref in more.items() if role != "measure"}
    inputs["items"] = Given(setting.items_key)
    inputs |= {f"rows|{run.name}": Given(run.key) for run in setting.runs}
    inputs |= _features(build, arms) | _answers(build, arms) | _nearest(build, arms)
    inputs |= {f"look_alikes|{name}": Given(key) for name, key in setting.look_alikes.items()}
    if setting.recipe.budget.latency is not None:
        inputs["measure"] = more["measure"]
    inputs |= {f"search|{label.strip()}": Given(key) for label, key in arms.searches.items()}
    selects: list[Select] = []
    if arms.proposes:
        inputs["proposal"] = _propose(build, arms)
    asked = ["best_single", *(["winner"] if arms.candidates else [])]
    for scope in setting.scopes:
        inputs |= {f"choice|{choice}|{scope.label.strip()}": f"{choice}{scope.label}" for choice in asked}
        more, following = exposed(build, arms, scope.label, scope.runs)
        inputs |= more
        selects += [*following, *retained(build, arms, scope.label, scope.runs)]
        for arm in arms.candidates:
            inputs |= {f"fit||{arm.name}|{run.name}": build.fit(arm, run) for run in scope.runs}
            inputs[f"count||{arm.name}|"] = build.count(arm)
        for slot in slots:
            options = {name: entries(build, slot, name, scope.runs) for name in slot.options}
            if slot.choice is None:
                inputs |= options[slot.name]
            else:
                selects.append(Select(slot.choice + scope.label, options))
        if arms.curves:
            selects += _curves(build, arms, scope)
            inputs |= {
                f"fewer|{run.name}|{number}": Given(rows.key)
                for run in scope.runs
                for number, rows in enumerate((*run.smaller, run))
            }
    params = _judging(setting) | {
        "slots": [slot.name for slot in slots],
        "controls": [slot.name for slot in slots if slot.choice and not slot.ships],
        "arms": described(build, slots, arms.candidates),
        "repeats": {run.name: run.repeat for run in setting.runs},
        "holdings": holdings(build, arms),
    }
    digests = tuple(setting.metric_digests.values())
    return build.add(Step("evaluate", "evaluate", params, inputs, tuple(selects), digests, opens_test=True))


def _judging(setting: Setting) -> dict[str, Any]:
    """What the recipe fixed before anything was judged."""
    recipe = setting.recipe
    return {
        "task": plain(recipe.task.model_dump()) | {"classes": list(setting.classes)},
        "margin": recipe.margin,
        "latency": recipe.budget.latency,
        "flops": recipe.budget.flops,
        **({} if recipe.budget.memory is None else {"memory": recipe.budget.memory}),
        "protocol": setting.protocol,
        "target": recipe.judge.target,
        "guards": dict(recipe.judge.guards),
        "seen": {name: card.seen for name, card in setting.cards.items()},
        "leaks": list(setting.leaks),
    }


def _features(build: Builder, arms: Ladder) -> dict[str, Ref]:
    """The sources' frozen features of rows apart: what their own heads read of the selection rows."""
    block = build.setting.runs[0].blocks[-1]
    return {
        f"features|{arm.members[0]}|{index}": build.extract(arm, read, block, judged=False)
        for arm in arms.singles
        for index, read in enumerate(arm.reads)
    }


def _answers(build: Builder, arms: Ladder) -> dict[str, Ref]:
    """What the sources' own heads say of the selection rows, for the scores that are made of it: where a source stands
    as it is these are there already; else where more than heads is trained, since they cost a pass of their own."""
    setting, block = build.setting, build.setting.runs[0].blocks[-1]
    if setting.recipe.task.kind != "multiclass":
        return {}
    ready = {arm.members[0] for arm in arms.fixed if arm.kind == "as_is" and arm.merge is None}
    found: dict[str, Ref] = {}
    for arm in arms.singles:
        (source,) = arm.members
        if source in ready or (setting.recipe.ladder != "quick" and has_head(setting.cards[source])):
            read = Read(source, "logits")
            alone = ArmSpec(f"as_is/{source}", "baseline", "single", "as_is", (source,), reads=(read,))
            found[f"answers|{source}"] = build.extract(alone, read, block, judged=False)
    return found


def _nearest(build: Builder, arms: Ladder) -> dict[str, Ref]:
    """Training rows near the judged ones, by every source whose frozen features of both are there anyway."""
    setting, found = build.setting, {}
    for arm in (arm for arm in arms.singles if arm.merge is None):
        (source,) = arm.members
        inputs: dict[str, Ref] = {"items": Given(setting.items_key)}
        inputs |= {f"rows|{run.name}": Given(run.key) for run in setting.runs}
        for run in setting.runs:
            inputs |= build.features(arm, run.blocks, run, judged=False)
            inputs |= build.features(arm, run.judged, run, judged=True)
        pairs = sum(run.judge_count * sum(block.count for block in run.blocks) for run in setting.runs)
        width = sum(setting.cards[source].tap(read.tap).width for read in arm.reads)
        work = Work(seconds=pairs * width / PRODUCTS_A_SECOND)
        step = Step(f"nearest {source}", "nearest", {}, inputs, opens_test=True, arm=arm.name, work=work)
        found[f"nearest|{source}"] = build.add(step)
    return found


def _curves(build: Builder, arms: Ladder, scope: Scope) -> list[Select]:
    """The same arms on fewer rows, by `learn|PLACE|ARM|RUN|ROWS`: frozen ones, since these learn in moments, and
    whatever was trained from scratch."""
    places: list[tuple[str, str, Slot]] = [
        ("best_frozen", "best_single", Slot("best_single", {arm.name: arm for arm in arms.singles})),
        ("best_fusion", "best_fusion", Slot("best_fusion", arms.frozen_fusions)),
    ]
    if build.setting.recipe.ladder == "full":
        places.append(("controlled", "scratch", Slot("scratch", arms.follower("scratch"), after=True)))
    selects = []
    for choice, place, slot in places:
        options: dict[str, Roles] = {}
        for name, arm in slot.options.items():
            after, known = slot.mark(name), identity(build, slot, name, scope.runs[0])
            options[name] = {f"weigh|{place}|{known}|": build.count(arm, after=after)}
            for run in scope.runs:
                for number, rows in enumerate((*run.smaller, run)):
                    options[name][f"learn|{place}|{known}|{run.name}|{number}"] = build.fit(arm, rows, after=after)
        selects += [Select(choice + scope.label, options)] if options else []
    return selects


def _propose(build: Builder, arms: Ladder) -> str:
    """An alternative in words, where the recipe names none: it follows what the winner costs to run."""
    scope = build.setting.scopes[0]
    options = {name: {"winner": build.count(arm)} for name, arm in arms.contenders.items()}
    specs = [str(entry.spec) for entry in build.setting.recipe.sources.values()]
    params = {"canvas": build.setting.canvas, "sources": specs}
    return build.add(Step("propose", "propose", params, {}, (Select(f"winner{scope.label}", options),)))


def _ship(build: Builder, slots: Sequence[Slot], evaluate: str) -> str:
    """What is delivered: the recommended arm, fitted to all rows where folds were used."""
    setting = build.setting
    runs = setting.runs if setting.final is None else (setting.final,)
    options: dict[str, Roles] = {}
    for slot in slots:
        if not slot.ships:
            continue
        for arm in slot.options.values():
            options[arm.name] = fits(build, arm, runs)
        if slot.choice is not None and setting.final is not None:
            source = {"tuned_single": "best_single"}.get(slot.name, slot.choice)
            options[slot.name] = {f"choice|{slot.name}": f"{source} final"}
    if setting.final is not None:
        # What folds that chose unlike singles are judged as; no ladder has a place of that name.
        options["best_single"] = {"choice|best_single": "best_single final"}
    return build.add(Step("ship", "ship", {}, {}, (Select(evaluate, options),)))


def _measure(build: Builder, slots: Sequence[Slot], scope: Scope) -> str:
    """Latency and memory of what could be shipped; measured once, never part of the evidence."""
    inputs: dict[str, Ref] = {}
    selects: list[Select] = []
    run = scope.runs[0]

    def fitted(arm: ArmSpec) -> Roles:
        return {f"fit|{arm.name}": build.fit(arm, run)}

    for slot in slots:
        if not slot.ships:
            continue
        options = {name: fitted(arm) for name, arm in slot.options.items()}
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
