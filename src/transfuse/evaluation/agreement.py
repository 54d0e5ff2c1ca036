"""Do scores order sources as the truth does? Without it a score would be believed because it has a formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import weightedtau

from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.types import Evidence, Undefined, Value

FEWEST = 3
TAU = Quantity("score_tau", "weighted tau", "higher", -1.0, 1.0)
REGRET = Quantity("score_regret", "nats", "lower", 0.0)
CITATION = "Vigna, A weighted correlation index for rankings with ties, WWW 2015"


def tau(said: np.ndarray, goodness: np.ndarray) -> float:
    """Weighted Kendall τ of two lists [K], both higher is better: exchanges among the best weigh most. NaN where one of
    the lists is constant."""
    return float(weightedtau(said, goodness)[0])  # pyright: ignore[reportArgumentType]


def regret(said: np.ndarray, goodness: np.ndarray) -> float:
    """What is lost by taking the source that the score puts first; of several, the mean of their losses. At least 0."""
    return float(goodness.max() - goodness[said == said.max()].mean())


def lacking(said: Mapping[str, Value], names: Sequence[str]) -> str | None:
    """Why a score cannot be held against an order of these sources."""
    if len(names) < FEWEST:
        return f"{len(names)} sources: an order of fewer than {FEWEST} says nothing of a score"
    missing = [name for name in names if isinstance(said.get(name, Undefined("")), Undefined)]
    return f"it has no value for {', '.join(missing)}" if missing else None


def rank_rows(
    names: Sequence[str], said: Mapping[str, Mapping[str, Value]], losses: Mapping[str, float], split: str = "apart"
) -> list[Evidence]:
    """Weighted τ and regret of each score against the probe's losses, the probe's own noise left out.

    One pair of rows for all scores where there are fewer than three sources.
    """
    goodness = -np.array([losses[name] for name in names])
    if len(names) < FEWEST:
        reason = lacking({}, names) or ""
        return [
            evidence(each, Subject("all scores", None, split), Measured.not_there(reason)) for each in (TAU, REGRET)
        ]
    rows = []
    for score, values in said.items():
        reason = lacking(values, names)
        subject, about = Subject(score, None, split), {"against": "the probe's log-loss", "sources": list(names)}
        if reason is not None:
            rows += [evidence(each, subject, Measured.not_there(reason), about) for each in (TAU, REGRET)]
            continue
        found = np.array([float(values[name]) for name in names])  # pyright: ignore[reportArgumentType]
        method = f"no interval: over {len(names)} sources, against the probe on the same rows"
        order = tau(found, goodness)
        level: Value = order if np.isfinite(order) else Undefined("all sources have the same value")
        rows.append(evidence(TAU, subject, Measured(level, method=method), about))
        rows.append(evidence(REGRET, subject, Measured(regret(found, goodness), method=method), about))
    return rows
