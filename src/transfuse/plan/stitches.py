"""Which sources are stitched to see what fits what; without it a recipe would have to make an arm of every pair.

`judge.stitching: [[FRONT, TAIL], ...]` names pairs; by itself the ladder `full` takes every pair in both directions,
of up to four sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING

from transfuse.errors import UserError, unknown_name
from transfuse.plan.arms import ArmSpec
from transfuse.plan.graph import Given, Ref, Step, Work
from transfuse.reads import Read, features_tap, reads_of
from transfuse.registry import method

if TYPE_CHECKING:
    from transfuse.plan.build import Builder
    from transfuse.plan.setting import Setting

MOST_SOURCES = 4
METHOD = "structure/stitch"
WHAT = "stitching loss"


def stitches(build: Builder) -> tuple[dict[str, Ref], list[tuple[str, str]]]:
    """The steps of all pairs, as inputs `stitch|FRONT|TAIL`; and what is left out, with its reason."""
    setting = build.setting
    inputs: dict[str, Ref] = {}
    skipped: list[tuple[str, str]] = []
    pairs, why = _pairs(setting)
    skipped += [(WHAT, why)] if why else []
    for front, tail in pairs:
        try:
            inputs[f"stitch|{front}|{tail}"] = _stitch(build, front, tail)
        except UserError as error:
            if setting.recipe.judge.stitching != "auto":
                raise
            skipped.append((f"stitching {front} into {tail}", error.what))
    return inputs, skipped


def _pairs(setting: Setting) -> tuple[Sequence[tuple[str, str]], str]:
    """The pairs that are stitched, or why there are none."""
    recipe, asked = setting.recipe, setting.recipe.judge.stitching
    names = list(recipe.sources)
    if asked != "auto":
        for name in (name for pair in asked for name in pair):
            if name not in names:
                raise unknown_name("source", name, names, where="recipe, judge.stitching")
    if recipe.task.kind != "multiclass":
        return (), "plain heads read it in tasks of classes only"
    if asked != "auto":
        return tuple((front, tail) for front, tail in asked), ""
    if recipe.ladder != "full":
        return (), f"the ladder is '{recipe.ladder}'; 'full' has it, or `judge.stitching` names pairs"
    if len(names) < 2:
        return (), "there is one source only"
    if len(names) > MOST_SOURCES:
        return (), f"{len(names)} sources make too many pairs; `judge.stitching` names some"
    return tuple(permutations(names, 2)), ""


def _stitch(build: Builder, front: str, tail: str) -> str:
    setting, run = build.setting, build.setting.runs[0]
    how, cards = method(METHOD), {name: setting.cards[name] for name in (front, tail)}
    reads = tuple(reads_of(how, cards))
    arm = ArmSpec(
        f"stitch/{front}/{tail}", "diagnostic", "fused", "train", (front, tail), METHOD, how.settings({}), reads
    )
    read = Read(front, features_tap(cards[front]))
    alone = ArmSpec(f"frozen/{front}", "baseline", "single", "train", (front,), "features/concat", {}, (read,))
    params, inputs, digests = build.network(arm)
    inputs |= {"items": Given(setting.items_key), "rows": Given(run.key)}
    inputs |= build.features(arm, run.blocks, run, judged=False)
    inputs |= {f"own|{block.name}": build.extract(alone, read, block, judged=False) for block in run.blocks}
    params |= {**build.common, "seed": run.seed}
    steps = int(arm.settings["steps"])
    work = Work((tail,), forward=run.train_count + run.held_count, backward=32 * steps)
    return build.add(Step(f"stitch {front} {tail}", "stitch", params, inputs, digests=digests, arm=arm.name, work=work))
