"""Training cost in FLOPs: without one count for all arms, equal budgets would be a matter of who counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transfuse.steps._fitted import fits_of
from transfuse.store import Artifact

# Of one weight: all are counted in single precision.
BYTES = 4


def cold(fit: Artifact, count: Artifact, rows: Mapping[str, np.ndarray]) -> float:
    """FLOPs from a cold start: every trial and inner fold, and frozen members' features of each row once."""
    return warm(fit, count) + features(fit, count, rows)


def warm(fit: Artifact, count: Artifact) -> float:
    """FLOPs of every trial and inner fold, without the features of frozen members."""
    return float(fit.meta.get("items", 0) * count.meta["step_flops"])


def features(fit: Artifact, count: Artifact, rows: Mapping[str, np.ndarray]) -> float:
    """FLOPs of frozen members' features of all rows that training and its choices rest on; 0 where members learn."""
    more = fit.meta.get("stream_rows", 0)
    return float(count.meta["member_flops"] * (_extracted(rows) + more)) if frozen(fit) else 0.0


def inference(fit: Artifact, count: Artifact) -> float:
    """Mean FLOPs of one answer: of a pool that does not ask all members, as it asked them on the selection rows."""
    if "used" not in fit.meta:
        return float(count.meta["inference_flops"])
    return float(np.dot(fit.meta["used"], count.meta["member_costs"]))


def answers(count: Artifact, used: np.ndarray | None) -> np.ndarray:
    """FLOPs of each answer [N], from which members were used for it [K, N]; [1] where all answers cost the same."""
    if used is None:
        return np.array([float(count.meta["inference_flops"])])
    return np.asarray(count.meta["member_costs"], dtype=np.float64) @ used


def frozen(fit: Artifact) -> bool:
    """Whether the members of a fitted arm stayed as they were, so that their features are computed once."""
    if fit.meta["kind"] != "train":
        return True
    return fit.meta["made_of"]["params"]["schedule"]["regime"] == "frozen"


def _extracted(rows: Mapping[str, np.ndarray]) -> int:
    """How many rows features are computed of before any row is judged."""
    helds = [held for _, held in fits_of(rows)]
    return len(np.unique(np.concatenate([rows["train"], rows["calibrate"], *helds])))
