"""Attacks as exposures: inputs made against an arm differ from arm to arm, so each is a step of its own.

Attacks are dear, so only some judged items are attacked, the same for all arms and runs. A transferred attack is made
against one public source under a linear head, and then shown to the arm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transfuse.plan.arms import ArmSpec
from transfuse.plan.conditions import attacks_of
from transfuse.plan.exposures import Exposure
from transfuse.plan.graph import Given, Ref, Step, Work

if TYPE_CHECKING:
    from transfuse.plan.build import Builder
    from transfuse.plan.setting import RowBlock, RunRows

FROM = "~"


@dataclass(frozen=True)
class Attack(Exposure):
    """An exposure made against the arm itself, or against the frozen single of `source`; `passes` is what it costs."""

    source: str | None = None
    passes: int = 1

    @property
    def against(self) -> bool:
        return True


def attacks(
    given: Mapping[str, Sequence[Any]], transfer: Sequence[str], rows: Mapping[str, RowBlock]
) -> tuple[Attack, ...]:
    """Every attack a recipe asks for, at every level, against each arm itself and from each named source.

    `rows` are the attacked rows by run. Names are NAME@LEVEL, and NAME@LEVEL~SOURCE for a transferred one.
    """
    found = []
    for (name, level), entry in sorted(attacks_of(given).items()):
        for source in (None, *transfer):
            full = f"{name}@{level:g}" + (f"{FROM}{source}" if source else "")
            params = {"condition": {"name": name, "level": level}}
            passes = int(entry.traits["passes"])
            found.append(Attack(full, params, (entry.digest,), rows=rows, source=source, passes=passes))
    return tuple(found)


def attack(build: Builder, arm: ArmSpec, run: RunRows, exposure: Attack) -> str:
    """The step that attacks an arm in one run and notes what it then answers."""
    key, count = exposure.answered(run)
    fit = build.fit(arm, run)
    inputs: dict[str, Ref] = {"items": Given(build.setting.items_key), "rows": Given(key), "fit": fit}
    if exposure.source is not None:
        inputs["surrogate"] = build.fit(build.arm(f"frozen/{exposure.source}"), run)
    return build.add(
        Step(
            name=f"attack {arm.name} {run.name} {exposure.name}",
            kind="attack",
            params={**build.common, **exposure.params},
            inputs=inputs,
            digests=exposure.digests,
            opens_test=True,
            arm=arm.name,
            work=Work(tuple(build.setting.recipe.sources), backward=count * exposure.passes),
        )
    )
