"""What stitching two sources lost, as rows beside their similarity."""

from __future__ import annotations

from collections.abc import Mapping

from transfuse.data.items import Items
from transfuse.evaluation.stitching import Stitch, stitching_row
from transfuse.store import Artifact
from transfuse.types import Evidence


def evidence(inputs: Mapping[str, Artifact], items: Items) -> list[Evidence]:
    """`stitching_loss` of each pair, from the inputs `stitch|FRONT|TAIL`; what failed is left out: see `failures`."""
    rows = []
    for role, found in inputs.items():
        if role.startswith("stitch|") and "failed" not in found.meta:
            _, front, tail = role.split("|")
            groups = None if items.groups is None else tuple(items.groups[row] for row in found["rows"])
            stitch = Stitch(found["first"], found["second"], found["stitched"])
            rows.append(stitching_row((front, tail), stitch, groups, dict(found.meta)))
    return rows


def failures(inputs: Mapping[str, Artifact]) -> dict[str, str]:
    """Why a pair could not be stitched."""
    broken = {role: found.meta["failed"] for role, found in inputs.items() if _failed(role, found)}
    return {"stitching {1} into {2}".format(*role.split("|")): why for role, why in broken.items()}


def _failed(role: str, found: Artifact) -> bool:
    return role.startswith("stitch|") and "failed" in found.meta
