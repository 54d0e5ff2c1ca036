"""The item losses that choices rest on: without them nobody could tell how much choosing flatters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from transfuse.evaluation import temperature
from transfuse.evaluation.metric import metric as find_metric
from transfuse.steps._case import Entry
from transfuse.steps._fitted import task_of
from transfuse.store import Artifact

ALL = "all"


def selection_losses(
    places: Iterable[Entry],
    described: Mapping[str, Mapping[str, Any]],
    targets: np.ndarray,
    protocol: str,
    metric: str,
) -> dict[str, dict[str, np.ndarray]]:
    """What every selection row adds to the metric that chose, turned so that lower is better, by choice and candidate:
    one choice over the mean of all seeds, or one a fold.

    A candidate that failed, or was not scored on the rows of the others, is left out. Nothing where the metric is no
    mean over items, and so no row's own.
    """
    if not find_metric(metric).item_mean:
        return {}
    by_run: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for entry in places:
        for run, arm in entry.arms.items():
            fit = entry.fits.get(run)
            if fit is None or "failed" in fit.meta or described[arm]["role"] != "candidate":
                continue
            by_run.setdefault(run, {})[arm] = fit["held_rows"], _losses(fit, targets, metric)
    if protocol != "locked":
        return {run: _same_rows(found) for run, found in by_run.items()}
    runs = list(by_run.values())
    shared = set.intersection(*(set(found) for found in runs)) if runs else set()
    whole = {}
    for arm in sorted(shared):
        rows = [found[arm] for found in runs]
        if all(np.array_equal(each[0], rows[0][0]) for each in rows):
            whole[arm] = rows[0][0], np.mean([losses for _, losses in rows], axis=0)
    return {ALL: _same_rows(whole)} if whole else {}


def _losses(fit: Artifact, targets: np.ndarray, metric: str) -> np.ndarray:
    found = find_metric(metric)
    answers = temperature.apply(fit["held"], fit.meta["scale"], fit.meta["temperature"], task_of(fit))
    values = found.columns(targets[fit["held_rows"]], answers)[:, 0]
    return values if found.direction == "lower" else -values


def _same_rows(found: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """The candidates scored on the rows that most of them were scored on, by name."""
    keys = {arm: np.asarray(rows).tobytes() for arm, (rows, _) in found.items()}
    kept = max(sorted(set(keys.values())), key=lambda key: list(keys.values()).count(key), default=b"")
    return {arm: found[arm][1] for arm in sorted(found) if keys[arm] == kept}
