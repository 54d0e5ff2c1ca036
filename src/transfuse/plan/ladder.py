"""The ladder: what a fusion must answer to, what each rung isolates, and what is left unmeasured and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from transfuse.plan.arms import ArmSpec, Scene, candidates, copies, pool, single
from transfuse.plan.recipe import Recipe
from transfuse.reads import Read
from transfuse.types import Card

LATER = ("compute_matched", "parameter_matched", "alternative")


@dataclass(frozen=True)
class Ladder:
    """Arms by what they are for.

    `fixed` (prior, as-is, ensemble), `singles` and `candidates` always run. The mappings hold, for every option of a
    later choice, the arm that follows if it is chosen: only that one runs.
    """

    fixed: tuple[ArmSpec, ...]
    singles: tuple[ArmSpec, ...]
    candidates: tuple[ArmSpec, ...]
    tuned_singles: Mapping[str, ArmSpec]
    tuned_fusions: Mapping[str, ArmSpec]
    copies: Mapping[str, ArmSpec]
    randoms: Mapping[str, Mapping[str, ArmSpec]]
    scratch: Mapping[str, ArmSpec]
    not_measured: tuple[tuple[str, str], ...]

    def arms(self) -> dict[str, ArmSpec]:
        """The arms that always run, by name."""
        return {arm.name: arm for arm in (*self.fixed, *self.singles, *self.candidates)}


def ladder(recipe: Recipe, cards: Mapping[str, Card], classes: Sequence[str]) -> Ladder:
    """All arms of a recipe, from cards alone."""
    scene = Scene(recipe, cards)
    tuning = recipe.ladder != "quick"
    singles = [single(scene, f"frozen/{name}", name, scene.schedule("frozen")) for name in cards]
    fixed, skipped = _fixed(cards, classes, singles)
    found = candidates(scene, {arm.name: arm for arm in (*fixed, *singles)})
    networks = {name: arm for name, arm in found.items() if arm.kind == "train" and arm.merge is None}
    frozen = {name: arm for name, arm in networks.items() if arm.regime == "frozen"}
    branches = max((len(arm.reads) for arm in frozen.values()), default=1)
    full, scratch = (scene.schedule("full"), scene.schedule("scratch")) if tuning else (None, None)
    if not tuning:
        skipped += [(what, "the ladder is 'quick'; 'standard' has it") for what in ("tuned/…", "scratch")]
    if branches < 2:
        skipped += [(what, "no candidate has two branches") for what in ("copies", "random/…")]
    skipped += [(what, "not part of this version") for what in LATER]
    return Ladder(
        fixed=tuple(fixed),
        singles=tuple(singles),
        candidates=tuple(found.values()),
        tuned_singles={
            arm.name: replace(arm, name=f"tuned/{arm.members[0]}", schedule=full) for arm in singles if tuning
        },
        tuned_fusions={
            name: replace(arm, name=f"tuned/{name}", schedule=full) for name, arm in frozen.items() if tuning
        },
        copies={arm.name: copies(arm, branches) for arm in singles if branches > 1},
        randoms={name: _randoms(arm) for name, arm in frozen.items() if len(arm.members) > 1},
        scratch={
            name: replace(arm, name="scratch", role="control", schedule=scratch, random=arm.members)
            for name, arm in frozen.items()
            if tuning
        },
        not_measured=tuple(skipped),
    )


def _fixed(
    cards: Mapping[str, Card], classes: Sequence[str], singles: Sequence[ArmSpec]
) -> tuple[list[ArmSpec], list[tuple[str, str]]]:
    fixed, skipped = [ArmSpec("prior", "baseline", "single", "prior", ())], []
    for name, card in cards.items():
        if set(classes) <= set(card.classes):
            fixed.append(
                ArmSpec(f"as_is/{name}", "baseline", "single", "as_is", (name,), reads=(Read(name, "logits"),))
            )
        else:
            skipped.append((f"as_is/{name}", "the source's own head does not name the target's classes"))
    if len(singles) > 1:
        fixed.append(pool("ensemble", "outputs/mean_prob", [arm.name for arm in singles], {}, "baseline"))
    else:
        skipped.append(("ensemble", "there is one source only"))
    return fixed, skipped


def _randoms(arm: ArmSpec) -> dict[str, ArmSpec]:
    """The same network with one member re-initialised, for each member."""
    return {member: replace(arm, name=f"random/{member}", role="control", random=(member,)) for member in arm.members}
