"""What a source's card says it cannot do, held against what arms ask: without it that would come out after hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transfuse.errors import UserError
from transfuse.fields import COLUMNS
from transfuse.plan.conditions import attacks_of
from transfuse.reads import divides
from transfuse.registry import method
from transfuse.types import Card

if TYPE_CHECKING:
    from transfuse.plan.arms import ArmSpec


def why_frozen(card: Card) -> str:
    """Why nothing of a source can be trained, as its card says it."""
    return next((note for note in card.notes if note.startswith("frozen: ")), "its card says so")


def moved(arm: ArmSpec, cards: Mapping[str, Card]) -> list[str]:
    """The members that the arm's training would change although they cannot be trained: in full training all of them,
    in partial training those without a frontier of their own. What has no weights is not changed by training."""
    still = [
        name for name in arm.members if name in cards and cards[name].field != COLUMNS and not cards[name].trainable
    ]
    if arm.schedule is None or arm.regime == "frozen":
        return []
    frontiers = [until.strip() for until in (arm.schedule.until or "").split(",")]
    return [name for name in still if not any(until.startswith(f"{name}.") for until in frontiers)]


def weightless(arm: ArmSpec, cards: Mapping[str, Card]) -> list[str]:
    """The members that would have to start again, or be merged, although their weights are out of reach."""
    asked = arm.members if arm.merge is not None else arm.random
    return [name for name in asked if name in cards and not cards[name].has_weights]


def lacking(arm: ArmSpec, cards: Mapping[str, Card]) -> str:
    """Why an arm of the ladder cannot be, in a few words; empty where it can."""
    names = moved(arm, cards) or weightless(arm, cards)
    if names:
        return f"the weights of {', '.join(names)} are out of reach"
    bare = [name for name in arm.members if name in cards and cards[name].field == COLUMNS]
    if arm.members and len(bare) == len(arm.members) and arm.regime != "frozen":
        return f"{', '.join(bare)} has no weights to train"
    return f"{bare[0]} has no weights to draw anew" if len(bare) == 1 and arm.random == tuple(bare) else ""


def check_abilities(arm: ArmSpec, cards: Mapping[str, Card], where: str) -> ArmSpec:
    """The arm. Raises UserError where a member would be trained, merged, started again or divided that cannot be."""
    if names := moved(arm, cards):
        others = [name for name in arm.members if name not in names]
        hint = f"train: {{regime: partial, until: {names[0]}.vector}}, which trains {', '.join(others)}"
        raise UserError(
            f"'{names[0]}' cannot be trained",
            where=f"{where}.train",
            expected="train: frozen",
            got=f"train: {arm.regime}; {why_frozen(cards[names[0]])}",
            hint=hint if others else None,
        )
    names = weightless(arm, cards)
    if not names and arm.kind == "train" and divides(method(arm.method)):
        names = [name for name in arm.members if name in cards and not cards[name].differentiable]
    if names:
        raise UserError(
            f"the inside of '{names[0]}' is out of reach for {arm.method or 'this arm'}",
            where=where,
            got=why_frozen(cards[names[0]]),
            hint="features/ and outputs/ methods take it",
        )
    return arm


def check_attacks(conditions: Mapping[str, Sequence[Any]], cards: Mapping[str, Card]) -> None:
    """Raises UserError where an attack by gradient is asked for and no source gives one. Where some do, arms are
    attacked through these, and an arm of none of them is told to be undefined."""
    asked = sorted({name for (name, _), entry in attacks_of(conditions).items() if entry.traits.get("gradient")})
    blind = [name for name, card in cards.items() if not card.differentiable]
    if asked and len(blind) == len(cards):
        raise UserError(
            f"no gradient comes through '{blind[0]}', so {', '.join(asked)} cannot attack what it is part of",
            where="recipe, judge.conditions",
            got=why_frozen(cards[blind[0]]),
            hint="square asks for answers only; or add a source that trains",
        )


def possible(
    arms: Mapping[str, ArmSpec], cards: Mapping[str, Card]
) -> tuple[dict[str, ArmSpec], list[tuple[str, str]]]:
    """Those of the ladder's own arms that can be, and why the others cannot, by name."""
    reasons = {key: lacking(arm, cards) for key, arm in arms.items()}
    left = {key: arm for key, arm in arms.items() if not reasons[key]}
    return left, [(arms[key].name, why) for key, why in reasons.items() if why]
