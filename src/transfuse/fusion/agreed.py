"""The sums of TIES in one pass over small blocks: without it each of its dozen steps would go through memory by itself.

For entries of K sources with thresholds t_k and weights w_k:

    tau_k = x_k - base where |x_k - base| > t_k, else 0
    up, down = sums of w_k tau_k over positive and over negative tau_k;   negative is elected where up + down < 0
    merged = base + scale sum / count,   sum and count those of the elected sign; base where that has none

Blocks stay in the processor's second cache, and scratch is used again, which on busy machines is most of what it costs.
"""

from __future__ import annotations

import numpy as np

BLOCK = 16_384
# Agreeing sources are counted in one byte.
MOST_COUNTED = 255


def agreed(
    x: np.ndarray, base: np.ndarray, w: np.ndarray, thresholds: np.ndarray, *, scale: float, counted: bool, by: float
) -> np.ndarray:
    """`x [K, n]`, `base [n]`, `w [K]`, `thresholds [K]` -> [n] float64; `counted` divides by `by` times the count.

    At most `MOST_COUNTED` sources.
    """
    merged = np.empty(base.size)
    size = min(BLOCK, base.size)
    scratch, marks, counts = np.empty((3, size)), np.empty((2, size), dtype=bool), np.empty((2, size), dtype=np.uint8)
    for begin in range(0, base.size, BLOCK):
        part = slice(begin, min(begin + BLOCK, base.size))
        width = part.stop - part.start
        tau, up, total = scratch[:, :width]
        positive, negative = marks[:, :width]
        ups, downs = counts[:, :width]
        for sums in (up, total, ups, downs):
            sums.fill(0)
        for row, share, threshold in zip(x, w, np.maximum(thresholds, 0.0), strict=True):
            np.subtract(row[part], base[part], out=tau, dtype=np.float64)
            np.greater(tau, threshold, out=positive)
            np.less(tau, -threshold, out=negative)
            np.add(ups, positive.view(np.uint8), out=ups)
            np.add(downs, negative.view(np.uint8), out=downs)
            np.logical_or(positive, negative, out=positive)
            np.multiply(tau, positive, out=tau)
            if share != 1.0:
                np.multiply(tau, share, out=tau)
            np.add(total, tau, out=total)
            # What a negative weight turns round is found by the sign that the change itself has.
            np.maximum(tau, 0.0, out=tau) if share >= 0.0 else np.minimum(tau, 0.0, out=tau)
            np.add(up, tau, out=up)
        _elect(up, total, ups, downs, negative)
        if counted:
            np.maximum(ups, 1, out=ups)
            np.divide(up, ups, out=up)
        if scale != by:
            np.multiply(up, scale / by, out=up)
        np.add(up, base[part], out=merged[part])
    return merged


def _elect(up: np.ndarray, total: np.ndarray, ups: np.ndarray, downs: np.ndarray, sign: np.ndarray) -> None:
    """`up` and `ups` become the sum and the count of the elected sign. Products choose: masks cost several times as
    much where they look random."""
    np.less(total, 0.0, out=sign)
    np.subtract(total, up, out=total)
    np.subtract(total, up, out=total)
    np.multiply(total, sign, out=total)
    np.add(up, total, out=up)
    np.subtract(downs, ups, out=downs)
    np.multiply(downs, sign.view(np.uint8), out=downs)
    np.add(ups, downs, out=ups)
