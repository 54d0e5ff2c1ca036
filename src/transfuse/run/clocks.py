"""Seconds until a training reached the target; without it "faster" would be told in items and FLOPs only.

Seconds belong to one machine and one hour, so they are measurements, never evidence: items until the target, which are
evidence, times the CPU seconds that one item of that very training took. Features that were kept are not in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.store import Artifact

ITEMS, SECONDS = "time_to_target_items", "time_to_target_seconds"


def seconds_to_target(evidence: Mapping[str, Any], fits: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    """One row an arm whose runs were watched for the target, mean over the runs that arrived.

    `fits` are the evaluation's inputs by role, of which `fit|PLACE|ARM|RUN` are read. Undefined where no run arrived.
    """
    pace = _pace(fits)
    rows = []
    for row in evidence["evidence"]:
        if row["quantity"] != ITEMS or not isinstance(row["provenance"].get("by_run"), Mapping):
            continue
        times = {
            run: items * pace[row["arm"], run]
            for run, items in row["provenance"]["by_run"].items()
            if items is not None and (row["arm"], run) in pace
        }
        lost = len(row["provenance"]["by_run"]) - len(times)
        known = (
            {"value": sum(times.values()) / len(times)}
            if times
            else {"undefined": "no run reached the target, or none was timed"}
        )
        method = "CPU seconds of this machine, mean over runs that arrived" + (f"; {lost} did not" if lost else "")
        fields = {"id": f"{SECONDS}:{row['arm']}", "arm": row["arm"], "quantity": SECONDS, "unit": "s"}
        rows.append(fields | known | {"direction": "lower", "n": len(times), "reproducible": False, "method": method})
    return rows


def _pace(fits: Mapping[str, Artifact]) -> dict[tuple[str, str], float]:
    """CPU seconds an item, by arm and run."""
    found = {}
    for role, artifact in fits.items():
        what, *rest = role.split("|")
        seconds = (
            artifact.meta.get("seconds_per_item") if what == "fit" and isinstance(artifact.meta, Mapping) else None
        )
        if seconds is not None:
            _, arm, run = rest
            found[arm.split("@", 1)[0], run] = float(seconds)
    return found
