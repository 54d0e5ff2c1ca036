"""Temperatures of members: without them a pool would hear whoever speaks loudest, and thresholds would mean nothing."""

from __future__ import annotations

import numpy as np

from transfuse.kinds import LEAST_PROBABILITY

COOLEST, HOTTEST = 1 / 20, 20.0
# Rows are gone through in pieces that stay in the processor's cache; above so many entries they are thinned evenly.
PIECE, LARGE = 1 << 17, 2_000_000
STEPS, STILL, FLAT = 60, 1e-9, 1e-12


def temperatures(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Each member's own temperature in [1/20, 20]: `probabilities [K, N, C]`, `targets [N]` -> `[K]`.

    One number needs some thousand rows at most: of more than 2 million entries every second, third ... row is used.
    """
    step = max(1, -(-probabilities[0].size // LARGE))
    return np.array([_temperature(member[::step], targets[::step]) for member in probabilities])


def softened(probabilities: np.ndarray, heat: float) -> np.ndarray:
    """softmax(log p / T) in float64, with p floored at 1e-15. [N, C] -> [N, C]."""
    found = np.empty(probabilities.shape)
    for rows in pieces(*probabilities.shape):
        part = np.log(np.maximum(probabilities[rows], LEAST_PROBABILITY))
        part /= heat
        part -= part.max(axis=1, keepdims=True)
        np.exp(part, out=part)
        part /= part.sum(axis=1, keepdims=True)
        found[rows] = part
    return found


def pieces(rows: int, classes: int) -> list[slice]:
    """Slices of rows that hold about 1 MB each."""
    size = max(1, PIECE // classes)
    return [slice(start, start + size) for start in range(0, rows, size)]


def _temperature(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The root of the slope of the log-loss in b = 1 / T, in which it is convex: Newton steps inside a bracket.

    Where the root lies outside, the nearest bound; where nothing depends on T, or no row is there, 1.
    """
    logs = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    logs -= logs.max(axis=1, keepdims=True)
    true = logs[np.arange(len(logs)), targets]
    low, high, b = 1 / HOTTEST, 1 / COOLEST, 1.0
    for _ in range(STEPS):
        slope, curve = _slope(logs, true, b)
        # Of rows that are all right by far the loss is nothing at any temperature, and no step would ever be small.
        if abs(slope) <= FLAT or (b == low and slope > 0) or (b == high and slope < 0):
            break
        step = b - slope / curve if curve > 0 else -1.0
        if not low < step < high:
            # A step out of the bracket goes to its end, where the slope says whether the root lies beyond.
            step = low if slope > 0 else high
            step = step if step in (1 / HOTTEST, 1 / COOLEST) else float(np.sqrt(low * high))
        low, high = (b, high) if slope < 0 else (low, b)
        if abs(step - b) <= STILL * b:
            break
        b = step
    return float(np.clip(1.0 / b, COOLEST, HOTTEST))


def _slope(logs: np.ndarray, true: np.ndarray, b: float) -> tuple[float, float]:
    """First and second derivative in b of the mean log-loss of softmax(b z); `logs [N, C]` and `true [N]` are z."""
    first = second = 0.0
    for rows in pieces(*logs.shape):
        z = logs[rows]
        weights = np.exp(b * z)
        total = weights.sum(axis=1)
        mean = np.einsum("nc,nc->n", weights, z) / total
        weights *= z
        first += float((mean - true[rows]).sum())
        second += float((np.einsum("nc,nc->n", weights, z) / total - mean**2).sum())
    return first / max(1, len(true)), second / max(1, len(true))
