"""Which columns of a block say anything: one rule for joints, which train on features, and for closed forms of them."""

from __future__ import annotations

from typing import Any

import numpy as np

SMALLEST_SPREAD = 1e-6
# Blocks are computed in single precision, whatever they are looked at in.
ROUNDING, LEAST = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)


def varying(spread: Any, mean: Any) -> Any:
    """Which columns of a block say anything: not those that rounding alone moves, nor those whose spread is nothing
    beside the largest of the block. [D] each, of one kind: arrays or tensors in double precision; truth values [D].

    A block of small numbers throughout says as much as a loud one, so what is nothing goes by its own scale. A block
    without columns has none that varies.
    """
    nothing = SMALLEST_SPREAD * min(float(spread.max()), 1.0) if len(spread) else 0.0
    return (spread > max(nothing, LEAST)) & (spread > ROUNDING * abs(mean))
