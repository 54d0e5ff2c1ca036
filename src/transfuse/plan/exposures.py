"""What an arm is exposed to beside clean judged rows; without this file robustness would be asked by other steps.

An exposure is either a condition of the judged rows (`blur@3`) or items of another kind (`ood:NAME`). Only the winner,
the best single and the ensemble are exposed, after they are chosen. Where all candidates are judged, those that trained
against attacks are attacked too, whether they win or not: else few runs would say what that training was worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transfuse.plan.conditions import changes_of
from transfuse.plan.graph import Given, Ref, Select
from transfuse.types import CLEAN

if TYPE_CHECKING:
    from transfuse.plan.arms import ArmSpec
    from transfuse.plan.build import Builder
    from transfuse.plan.ladder import Ladder
    from transfuse.plan.setting import RowBlock, RunRows


@dataclass(frozen=True)
class Exposure:
    """What arms answer: `params` and `digests` are what it adds to a step that looks at pixels.

    `items_key`, `covers` (the blocks whose features cover them) and `rows` (who answers what, by run) belong to items
    of another kind; without them the judged rows are meant.
    """

    name: str = CLEAN
    params: Mapping[str, Any] = field(default_factory=dict)
    digests: tuple[str, ...] = ()
    items_key: str | None = None
    covers: tuple[RowBlock, ...] = ()
    rows: Mapping[str, RowBlock] = field(default_factory=dict)

    @property
    def against(self) -> bool:
        """Whether it is an attack, made anew against each arm."""
        return False

    @property
    def judged(self) -> bool:
        """Whether the judged rows are opened for it."""
        return not self.covers

    @property
    def suffix(self) -> str:
        """What it adds to a step's name."""
        return "" if self.name == CLEAN else f" {self.name}"

    def blocks(self, run: RunRows) -> tuple[RowBlock, ...]:
        """The blocks that cover what this run answers."""
        return self.covers or run.judged

    def answered(self, run: RunRows) -> tuple[str, int]:
        """The key of the rows this run answers, and how many these are."""
        rows = self.rows.get(run.name)
        return (run.key, run.judge_count) if rows is None else (rows.key, rows.count)


def conditions(given: Mapping[str, Sequence[Any]]) -> tuple[Exposure, ...]:
    """The judged rows under every condition that is the same for all arms, by name and level."""
    asked = changes_of(given)
    return tuple(
        Exposure(f"{name}@{level:g}", {"condition": {"name": name, "level": level}}, (asked[name, level].digest,))
        for name, level in sorted(asked)
    )


def places(arms: Ladder) -> dict[str, tuple[str, dict[str, ArmSpec]]]:
    """Who is looked at more closely: by place, the choice that says who stands there and the arms it may name."""
    singles = {arm.name: arm for arm in (*arms.ready, *arms.singles, *arms.tuned_singles.values())}
    fusions = {arm.name: arm for arm in (*arms.candidates, *arms.tuned_fusions.values())}
    found = {"best_single": ("best_single", singles), "best_fusion": ("winner", fusions)}
    return {place: asked for place, asked in found.items() if asked[1]}


def exposed(build: Builder, arms: Ladder, label: str, runs: Sequence[RunRows]) -> tuple[dict[str, Ref], list[Select]]:
    """What the evaluation needs of all exposures, by `expose|PLACE|ARM|RUN|EXPOSURE`, and outside items' tables.

    `label` is what the names of these runs' choices end in.
    """

    def roles(place: str, arm: ArmSpec, asked: Sequence[Exposure] = build.setting.exposures) -> dict[str, str]:
        return {
            f"expose|{place}|{arm.name}|{run.name}|{exposure.name}": build.exposed(arm, run, exposure)
            for exposure in asked
            for run in runs
        }

    if not (arms.exposed and build.setting.exposures):
        return {}, []
    inputs: dict[str, Ref] = {
        f"outside|{exposure.name}": Given(exposure.items_key)
        for exposure in build.setting.exposures
        if exposure.items_key is not None
    }
    for arm in arms.fixed:
        if arm.kind == "pool":
            inputs |= roles(arm.name, arm)
    attacks = [exposure for exposure in build.setting.exposures if exposure.against]
    for arm in arms.candidates if build.setting.recipe.judge.test == "all" else ():
        if arm.schedule is not None and any(entry.traits.get("resists") for entry in arm.schedule.entries):
            inputs |= roles(arm.name, arm, attacks)
    return inputs, [
        Select(choice + label, {name: roles(place, arm) for name, arm in options.items()})
        for place, (choice, options) in places(arms).items()
    ]


def unexposed(exposures: Sequence[Exposure]) -> tuple[tuple[str, str], ...]:
    """What the report must say was not asked."""
    found = []
    if not any(exposure.judged and not exposure.rows for exposure in exposures):
        found.append(("conditions", "judge.conditions is empty"))
    if not any(exposure.judged and exposure.rows for exposure in exposures):
        found.append(("attacks", "judge.conditions names none, e.g. {pgd: [0.0157]}"))
    if all(exposure.judged for exposure in exposures):
        found.append(("items of another kind", "data.extra names no 'ood:NAME'"))
    return tuple(found)
