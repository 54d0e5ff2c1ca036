"""What compressed arms add to a case: bytes on disk of all arms, and whom each of them was made of; without this file
only the compressed would have a size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transfuse.steps._spent import BYTES
from transfuse.types import Arm

Described = Mapping[str, Mapping[str, Any]]


def sized(arms: dict[str, Arm]) -> dict[str, Arm]:
    """The arms with bytes on disk, where any of them is compressed: of the others those of weights in float32."""
    if not any(arm.cost is not None and arm.cost.stored_bytes is not None for arm in arms.values()):
        return arms
    return {
        name: arm
        if arm.cost is None or arm.cost.stored_bytes is not None
        else replace(arm, cost=replace(arm.cost, stored_bytes=BYTES * arm.cost.parameters))
        for name, arm in arms.items()
    }


def made_of(name: str, described: Described) -> list[str]:
    """The arms that a compressed one was made of, one inside the other; none for others."""
    found: list[str] = []
    while "of" in described.get(name, {}):
        name = described[name]["of"]
        found.append(name)
    return found


def notes(meta: Mapping[str, Any]) -> list[str]:
    """What a compressed arm's fit tells: how far its answers moved on the training rows that the method was shown, what
    each branch alone in int8 would lose, and what each branch was worth before one was left out."""
    told, found = meta.get("told"), []
    if told is None:
        return []
    if told["rows"]:
        same = f"{100 * told['agree']:.0f} % of them keep their first class"
        found.append(f"compressing moved the logits of training rows by {told['moved']:.3g} of their spread; {same}")
    for event in meta.get("found", ()):
        if event["event"] == "sensitivity":
            change = event["loss"] - event["float_loss"]
            found.append(f"{event['branch']} alone in int8 changes the loss of training rows by {change:+.4f}")
        if event["event"] == "forms":
            forms = [f"{', '.join(event[form])} in {form}" for form in ("int8", "float32") if event[form]]
            found.append(f"each branch in the form that it bears: {'; '.join(forms)}")
        if event["event"] == "branches":
            worth = {name[6:]: value for name, value in event.items() if name.startswith("worth ")}
            listed = ", ".join(f"{name} {value:.4f}" for name, value in worth.items())
            found += [f"worth of the branches on training rows, by {event['by']}: {listed}"] if worth else []
    return found
