"""What an answer is, of classes and of labels alike: without it each question would call a row right in its own way."""

from __future__ import annotations

import numpy as np

# A label holds where its chance is at least this.
HOLDS = 0.5


def right(probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Whether each item is answered right in each run. [k, N, C], [N] or [N, C] -> [k, N].

    Of classes the most probable one counts, the first of equal ones; an item of several labels is right where all of
    them are.
    """
    if targets.ndim == 1:
        return probs.argmax(axis=2) == targets
    return (holding(probs) == (targets == 1)).all(axis=2)


def sureness(probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The probability of the answer. [k, N, C], [N] or [N, C] -> [k, N].

    Of labels Π_c max(p_c, 1 − p_c): that all are as answered, as if they were independent given the item.
    """
    if targets.ndim == 1:
        return probs.max(axis=2)
    return np.maximum(probs, 1.0 - probs).prod(axis=2)


def holding(probs: np.ndarray) -> np.ndarray:
    """Which labels hold."""
    return probs >= HOLDS
