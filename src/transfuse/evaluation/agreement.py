"""Do scores order sources as the truth does? Without it a score would be believed because it has a formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.types import Evidence, Undefined, Value

FEWEST = 3
TAU = Quantity("score_tau", "weighted tau", "higher", -1.0, 1.0)
REGRET = Quantity("score_regret", "nats", "lower", 0.0)
CITATION = "Vigna, A weighted correlation index for rankings with ties, WWW 2015"


def tau(said: np.ndarray, goodness: np.ndarray) -> np.ndarray:
    """Weighted Kendall τ of a list [K] and others [..., K], all higher is better: exchanges among the best weigh most.
    [...]; NaN where one of two lists is constant.

    τ = Σ s t w / √(Σ s² w · Σ t² w) over pairs, with s and t the signs of the pair's differences and w = 1/(1 + rank of
    one) + 1/(1 + rank of the other), ranks from the best of a list and, where it ties, of the other; the mean of the τ
    with the ranks of either list. For few entries and many lists: memory grows with their number times K².
    """
    first, second = (np.sign(each[..., :, None] - each[..., None, :]) for each in (said, goodness))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (_ranked(first, second) + _ranked(second, first)) / 2


def _ranked(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """τ of two lists by the signs of their pairs [..., K, K], with the ranks of the first list."""
    ahead = np.where(first != 0, first, second)
    places = np.arange(ahead.shape[-1])
    # What ties in both lists is ranked from the last entry on.
    ahead = np.where(ahead != 0, ahead, np.sign(places[:, None] - places))
    share = 1.0 / (1.0 + (ahead < 0).sum(axis=-1))
    weight = share[..., :, None] + share[..., None, :]
    own, other = (np.where(each != 0, weight, 0.0).sum(axis=(-2, -1)) for each in (first, second))
    return (first * second * weight).sum(axis=(-2, -1)) / np.sqrt(own * other)


def regret(said: np.ndarray, goodness: np.ndarray) -> np.ndarray:
    """What is lost by taking the entry that a list [K] puts first, by each of others [..., K]; where several are first,
    the mean of their losses. [...], at least 0."""
    return goodness.max(axis=-1) - goodness[..., said == said.max()].mean(axis=-1)


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
        order = float(tau(found, goodness))
        level: Value = order if np.isfinite(order) else Undefined("all sources have the same value")
        rows.append(evidence(TAU, subject, Measured(level, method=method), about))
        rows.append(evidence(REGRET, subject, Measured(float(regret(found, goodness)), method=method), about))
    return rows
