"""The plan of `choose`: the sources' features, as a run would keep them, and one look at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transfuse.jsonio import digest
from transfuse.plan.arms import ArmSpec
from transfuse.plan.build import Builder
from transfuse.plan.graph import Given, Plan, Ref, Step
from transfuse.plan.ladder import Ladder
from transfuse.plan.setting import RowBlock, Setting
from transfuse.reads import Read
from transfuse.registry import shelf

SCORES = "evaluation/scores"


def make_choosing(setting: Setting, arms: Ladder, blocks: Sequence[RowBlock], *, every_score: bool) -> Plan:
    """Features, own answers, cost and stated facts of every source, on these rows alone; no judged row is opened.

    What is extracted has the keys that a run's steps have, so a later run takes it from the store.
    """
    build = Builder(setting, arms=arms.arms())
    inputs: dict[str, Ref] = {"items": Given(setting.items_key)}
    for arm in arms.singles:
        (name,) = arm.members
        for block in blocks:
            for index, read in enumerate(arm.reads):
                inputs[f"features|{name}|{index}|{block.name}"] = build.extract(arm, read, block, judged=False)
            if "logits" in setting.cards[name].taps:
                # The arm that a run would answer with as it is, so that its answers are kept under the same key.
                own = ArmSpec(f"as_is/{name}", "baseline", "single", "as_is", (name,), reads=(Read(name, "logits"),))
                inputs[f"answers|{name}|{block.name}"] = build.extract(own, own.reads[0], block, judged=False)
        inputs[f"count|{name}"] = build.count(arm)
        inputs[f"stated|{name}"] = build.add(
            Step(f"stated {name}", "stated", {}, {"card0": Given(setting.card_keys[name])}, arm=name)
        )
    params: dict[str, Any] = {
        "sources": [arm.members[0] for arm in arms.singles],
        "margin": setting.recipe.margin,
        "every_score": every_score,
    }
    asked = tuple(entry.digest for entry in shelf(SCORES).values())
    target = build.add(Step("appraise", "appraise", params, inputs, digests=asked))
    identity = digest([setting.identity, [block.key for block in blocks], every_score])
    return Plan(build.steps, (target,), (), {"identity": identity})
