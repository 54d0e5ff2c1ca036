"""How does the deciding measure move while training? Without it a time to a target is a point without its path."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Quantity, Subject, evidence, figures, mean_of_runs
from transfuse.types import Evidence, Observation

ORDER = 94
SEEN = "epoch_loss"
SPLIT = "selection"
MOST_POINTS = 40
METHOD = "mean over runs; a run that has stopped counts with its last value"


def ask(case: Case) -> list[Evidence]:
    """The primary metric on the selection rows after each epoch, mean over runs, by items gone through and by FLOPs.

    `value` is the mean where training ended; `provenance` holds the curve at 40 points at most, evenly spaced over the
    logarithm of the epochs, so that the steep start keeps its points.
    """
    metric = find_metric(case.task.metric)
    found: dict[str, dict[str, list[Observation]]] = {}
    for seen in case.observations:
        if seen.quantity == SEEN:
            found.setdefault(seen.arm, {}).setdefault(seen.run, []).append(seen)
    quantity = Quantity("training_curve", metric.unit, metric.direction)
    rows = []
    for arm, runs in sorted(found.items()):
        about = _curve({run: sorted(points, key=lambda each: each.items) for run, points in sorted(runs.items())})
        last = {run: max(points, key=lambda each: each.items).value for run, points in sorted(runs.items())}
        measured = mean_of_runs(last, note=METHOD)
        rows.append(evidence(quantity, Subject(arm, None, SPLIT), measured, about | {"metric": metric.name}))
    return rows


def _curve(runs: Mapping[str, list[Observation]]) -> dict[str, list[float]]:
    """Means over runs at common epochs: `items`, `flops` (from a cold start) and `values`."""
    longest = max(len(points) for points in runs.values())
    places = np.unique(np.rint(np.geomspace(1, longest, min(longest, MOST_POINTS))).astype(int)) - 1
    each = [[points[min(place, len(points) - 1)] for points in runs.values()] for place in places.tolist()]
    ahead = [[points[place] for points in runs.values() if place < len(points)] for place in places.tolist()]
    return {
        "items": figures([float(np.mean([point.items for point in points])) for points in ahead]),
        "flops": figures([float(np.mean([point.flops for point in points])) for points in ahead]),
        "values": figures([float(np.mean([point.value for point in points])) for points in each]),
    }
