"""What was retained, as observations of the arms: frozen members by knowledge, trained ones by what was computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transfuse.steps._case import Entry
from transfuse.store import Artifact
from transfuse.types import Observation

Holdings = Mapping[str, Mapping[str, Mapping[str, Any]]]


def observations(
    inputs: Mapping[str, Artifact], holdings: Holdings, standing: Mapping[str, Entry], rows: Mapping[str, Artifact]
) -> list[Observation]:
    """`retention_kl:SOURCE`, and `own_accuracy_before:SOURCE` and `own_accuracy_after:SOURCE` where it has its own set.

    `holdings` tell by arm and part whether it moves its members and which of them is which source, `standing` the arms
    by place. Of a pool that holds a source more than once, the one that lost most counts. What could not be computed is
    left out: see `failures`.
    """
    found: list[Observation] = []
    for place, entry in standing.items():
        for run, arm in entry.arms.items():
            worst: dict[str, float] = {}
            for quantity, value in _seen(inputs, holdings.get(arm, {}), f"retain|{place}|{arm}|{run}"):
                lost = max if quantity.startswith("retention_kl") else min
                worst[quantity] = lost(worst.get(quantity, value), value)
            found += [
                Observation(entry.name, run, quantity, value, rows=len(rows[run]["train"]), final=True)
                for quantity, value in worst.items()
            ]
    return found


def failures(inputs: Mapping[str, Artifact]) -> dict[str, str]:
    """Why something could not be computed, by what it was."""
    reasons = {role: artifact.meta["failed"] for role, artifact in inputs.items() if _failed(role, artifact)}
    return {f"retention of {role.split('|')[4]} in run {role.split('|')[3]}": why for role, why in reasons.items()}


def _failed(role: str, artifact: Artifact) -> bool:
    return role.startswith("retain|") and "failed" in artifact.meta


def _seen(
    inputs: Mapping[str, Artifact], parts: Mapping[str, Mapping[str, Any]], role: str
) -> Iterator[tuple[str, float]]:
    for part, holding in parts.items():
        kept = inputs.get(f"{role}|{part}")
        if (kept is None and holding["moves"]) or (kept is not None and "failed" in kept.meta):
            continue
        for number, source in holding["members"].items():
            yield f"retention_kl:{source}", 0.0 if kept is None else float(kept.meta["kl"][number])
            if kept is not None and number in kept.meta["own"]:
                before, after = kept.meta["own"][number]
                yield f"own_accuracy_before:{source}", float(before)
                yield f"own_accuracy_after:{source}", float(after)
