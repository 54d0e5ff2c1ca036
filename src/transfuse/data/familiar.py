"""Which images are unlike those a model learnt from; without it a model answers for anything, and looks sure of it.

Two scores, each with a threshold from rows that the model did not learn from (split conformal: Vovk, Gammerman and
Shafer, 2005). Of rows drawn like those, at most a share `level` is told to be unlike; n rows allow no level below
1 / (n + 1).

    looks       distance of six numbers of an image (below) from those of training rows: sqrt((s - m)' C^-1 (s - m))
    confidence  largest probability, low where the model is unsure (Hendrycks and Gimpel, 2017); classes only

An image can be foreign and pass both: one of another thing, taken alike, that the model is sure about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.01
RIDGE = 1e-3
DARK, BRIGHT = 0.05, 0.95
LOOKS = ("brightness", "contrast", "colour", "detail", "dark share", "bright share")
SMALLEST_CALIBRATION = 10


@dataclass(frozen=True)
class Familiar:
    """What rows like the training rows look like: `centre [6]`, `inverse [6, 6]`, the largest usual distance, and the
    smallest usual confidence (None: the task has no classes). `rows` is how many rows the thresholds rest on."""

    centre: np.ndarray
    inverse: np.ndarray
    farthest: float
    confidence: float | None
    rows: int
    level: float

    def unlike(self, looks: np.ndarray, probabilities: np.ndarray | None) -> list[str]:
        """For each row why it is unlike, `looks`, `unsure` or both with a comma; empty for rows like the others.

        `looks [N, 6]` are those of `looks`, `probabilities [N, C]` the model's answers.
        """
        far = distances(looks, self.centre, self.inverse) > self.farthest
        unsure = np.zeros(len(looks), dtype=bool)
        if self.confidence is not None and probabilities is not None:
            unsure = probabilities.max(axis=1) < self.confidence
        return [
            ",".join(name for name, hit in (("looks", a), ("unsure", b)) if hit)
            for a, b in zip(far, unsure, strict=True)
        ]

    def record(self) -> dict[str, Any]:
        """Plain values, for a model's description."""
        numbers = {"centre": self.centre.tolist(), "inverse": self.inverse.tolist(), "farthest": self.farthest}
        return {**numbers, "confidence": self.confidence, "rows": self.rows, "level": self.level, "looks": list(LOOKS)}

    @classmethod
    def from_record(cls, record: Any) -> Familiar | None:
        """What `record` gave; None for anything else, so that a model without it, or with a strange one, answers."""
        if not isinstance(record, Mapping) or record.get("looks") != list(LOOKS):
            return None
        try:
            centre = np.asarray(record["centre"], dtype=np.float64)
            inverse = np.asarray(record["inverse"], dtype=np.float64)
            farthest, level = float(record["farthest"]), float(record["level"])
            confidence = None if record["confidence"] is None else float(record["confidence"])
            rows = int(record["rows"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        size = len(LOOKS)
        sound = centre.shape == (size,) and inverse.shape == (size, size)
        known = [*centre.ravel(), *inverse.ravel(), farthest, level, confidence or 0.0]
        return cls(centre, inverse, farthest, confidence, rows, level) if sound and np.isfinite(known).all() else None


def looks(canvas: np.ndarray) -> np.ndarray:
    """Six numbers an image [N, 6] of canvases [N, 3, S, S] in [0, 1], in the order of `LOOKS`."""
    images = canvas.astype(np.float64)
    grey = images.mean(axis=1)
    across = np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2)) if grey.shape[2] > 1 else np.zeros(len(grey))
    down = np.abs(np.diff(grey, axis=1)).mean(axis=(1, 2)) if grey.shape[1] > 1 else np.zeros(len(grey))
    colour = np.abs(np.diff(images, axis=1)).mean(axis=(1, 2, 3))
    shares = [(grey < DARK).mean(axis=(1, 2)), (grey > BRIGHT).mean(axis=(1, 2))]
    return np.stack([grey.mean(axis=(1, 2)), grey.std(axis=(1, 2)), colour, across + down, *shares], axis=1)


def distances(found: np.ndarray, centre: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Mahalanobis distances [N] of rows [N, Q]."""
    away = found - centre
    return np.sqrt(np.maximum(np.einsum("nq,qr,nr->n", away, inverse, away), 0.0))


def fit(
    training: np.ndarray, apart: np.ndarray, probabilities: np.ndarray | None, level: float = LEVEL
) -> Familiar | None:
    """Thresholds from rows apart: `training [M, 6]` and `apart [n, 6]` are looks, `probabilities [k, C]` answers for
    rows that the model did not learn from. None where fewer than ten rows stand apart, or two of training."""
    if len(apart) < SMALLEST_CALIBRATION or len(training) < 2:
        return None
    centre = training.mean(axis=0)
    spread = np.cov(training, rowvar=False)
    # Without a ridge, black-and-white images would be infinitely far from all that hold a trace of colour.
    inverse = np.linalg.inv(spread + RIDGE * (np.trace(spread) / len(centre) + 1e-6) * np.eye(len(centre)))
    farthest = highest_usual(distances(apart, centre, inverse), level)
    enough = probabilities is not None and len(probabilities) >= SMALLEST_CALIBRATION
    sure = -highest_usual(-probabilities.max(axis=1), level) if probabilities is not None and enough else None
    reached = max(level, 1 / (len(apart) + 1))
    return Familiar(centre, inverse, farthest, sure, len(apart), reached)


def highest_usual(scores: np.ndarray, level: float) -> float:
    """The k-th smallest of n scores, k = ceil((n + 1)(1 - level)), at most n: a further score drawn like them exceeds
    it with a probability of at most max(level, 1 / (n + 1))."""
    count = len(scores)
    place = min(count, math.ceil((count + 1) * (1 - level)))
    return float(np.sort(scores)[place - 1])
