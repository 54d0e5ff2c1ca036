"""The plan of a search: features, counts and one search for each scope; the finalists make the candidates of a second
plan. Without two stages a plan would hold every step of some hundred arms, their controls and folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transfuse.plan.arms import ArmSpec, Scene, single
from transfuse.plan.build import Builder
from transfuse.plan.graph import Given, Plan, Ref, Step
from transfuse.plan.ladder import Ladder, ladder
from transfuse.plan.setting import Scope, Setting
from transfuse.registry import shelf

CROWN_STEP_SECONDS = 0.0009


def search_plan(setting: Setting, probes: Mapping[str, str]) -> Plan:
    """The steps up to the searches, one for each scope and the final fit; `probes` are keys by source."""
    build = Builder(setting)
    scopes = [*setting.scopes, *([Scope(" final", (setting.final,))] if setting.final is not None else [])]
    targets = tuple(_search(build, scope, probes) for scope in scopes)
    facts = {"identity": setting.identity, "slots": [], "protocol": setting.protocol}
    return Plan(build.steps, targets, (), facts)


def _search(build: Builder, scope: Scope, probes: Mapping[str, str]) -> str:
    """A search looks at the first of its scope's runs; whoever it names is then trained in all of them."""
    setting, run = build.setting, scope.runs[0]
    recipe = setting.recipe
    arms = _readers(setting)
    inputs: dict[str, Ref] = {"items": Given(setting.items_key), "rows": Given(run.key)}
    for index, arm in enumerate(arms):
        (read,) = arm.reads
        for block in run.blocks:
            inputs[f"x{index}|{block.name}"] = build.extract(arm, read, block, judged=False)
        inputs[f"count|{index}"] = build.count(arm)
    inputs |= {f"probe|{name}": Given(key) for name, key in probes.items() if name in recipe.sources}
    schedule = arms[0].schedule
    steps = 0 if schedule is None else schedule.tries * schedule.lasting(run.train_count).epochs
    batches = 1 if schedule is None else -(-run.train_count // schedule.batch)
    params: dict[str, Any] = {
        "blocks": [[arm.members[0], arm.reads[0].tap] for arm in arms],
        "finalists": recipe.search.finalists,
        "budget": recipe.budget.model_dump(),
        "head_seconds": CROWN_STEP_SECONDS * steps * batches,
        "runs": len(setting.runs),
    }
    digests = tuple(entry.digest for entry in shelf("fusion/outputs").values())
    return build.add(Step(f"search{scope.label}", "search", params, inputs, digests=digests))


def _readers(setting: Setting) -> list[ArmSpec]:
    """A head on each tap of each source that its own arm reads."""
    scene = Scene(setting.recipe, {name: setting.cards[name] for name in setting.recipe.sources})
    found = []
    for name in scene.cards:
        whole = single(scene, f"look at {name}", name, scene.schedule("frozen"))
        found += [replace(whole, name=f"{whole.name}.{read.tap}", reads=(read,)) for read in whole.reads]
    return found


def searched_ladder(setting: Setting, found: Mapping[str, Mapping[str, Any]], keys: Mapping[str, str]) -> Ladder:
    """The ladder whose candidates are what the searches found; each scope's winner is one of its own finalists.

    `found` are the searches' answers by the scope's label, `keys` their keys.
    """
    together: dict[str, Any] = {}
    for answer in found.values():
        together |= answer["finalists"]
    # Pools of other candidates come after these.
    order = sorted(together, key=lambda name: (any(member in together for member in together[name]["of"]), name))
    recipe = setting.recipe.model_copy(update={"candidates": {name: together[name] for name in order}})
    made = ladder(recipe, setting.cards, setting.classes)
    own = {label: frozenset(answer["finalists"]) for label, answer in found.items()}
    return replace(made, own=own, searches=dict(keys))
