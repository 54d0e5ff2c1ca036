"""What a search found, and what choosing among so many flattered; without it its best figure would stand bare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.store import Artifact
from transfuse.types import Evidence

SPLIT = "selection"
HOW = "heads on cached features, out of fold; the choice itself bootstrapped (BBC-CV, Tsamardinos et al. 2018)"


def choices(inputs: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    """Each search as a choice: its finalists, and the losses of the best it looked at."""
    return [
        {"choice": "search", "run": scope or "all", "chosen": ", ".join(meta["chosen"]), "scores": meta["scores"]}
        for scope, meta in _found(inputs).items()
    ]


def evidence(inputs: Mapping[str, Artifact]) -> list[Evidence]:
    """`search_optimism`: how much too low the best candidate's loss is; `search_gain`: what the best is better than the
    best single once that is taken off, with its interval. One of each for every search."""
    rows = []
    for scope, meta in _found(inputs).items():
        told, name = meta["optimism"], meta["chosen"][0]
        label = f"search {scope}".strip()
        facts = {"searched": meta["tried"], "within_budget": meta["within"], "candidate": name, "loss": told["loss"]}
        common: dict[str, Any] = {
            "arm": label, "unit": "nats", "split": SPLIT, "n": meta["rows"], "method": HOW, "provenance": facts,
        }  # fmt: skip
        rows.append(
            Evidence(
                id=f"search_optimism:{label}",
                quantity="search_optimism",
                value=told["optimism"],
                direction="lower",
                **common,
            )
        )
        rows.append(
            Evidence(
                id=f"search_gain:{label}",
                quantity="search_gain",
                value=told["gain"],
                low=told["low"],
                high=told["high"],
                level=0.95,
                direction="higher",
                **common,
            )
        )
    return rows


def _found(inputs: Mapping[str, Artifact]) -> dict[str, dict[str, Any]]:
    return {role.split("|")[1]: artifact.meta for role, artifact in inputs.items() if role.startswith("search|")}
