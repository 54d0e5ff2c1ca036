"""How much an arm learns from how little: without curves over training sizes "learns faster" is a matter of taste.

All laws take losses (lower is better) over increasing numbers of training rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from transfuse.errors import UserError
from transfuse.types import Undefined, Value


def _check(rows: np.ndarray, losses: np.ndarray) -> None:
    if rows.ndim != 1 or losses.shape[-1:] != rows.shape or len(rows) < 2 or not (np.diff(rows) > 0).all():
        raise UserError("a curve needs at least two increasing sizes, and a loss at each", got=f"{rows.tolist()}")


def area_by_log_rows(rows: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """AULC = ∫ loss d(log n) / (log n_max − log n_min), by trapezoids: the loss at an average size. [P], [..., P]."""
    _check(rows, losses)
    logs = np.log(rows)
    return np.trapezoid(losses, logs, axis=-1) / (logs[-1] - logs[0])


def falling(losses: np.ndarray) -> np.ndarray:
    """The nearest curve that never rises (isotonic least squares). [P]."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(losses, increasing=False).x)


def rows_to_reach(rows: np.ndarray, losses: np.ndarray, target: float) -> Value:
    """How many rows bring the loss down to the target: by a falling (isotonic) fit, straight in log n. [P], [P].

    `Undefined` where the curve does not get there, and where it is below already at the fewest rows: nothing is
    extrapolated.
    """
    _check(rows, losses)
    fitted = falling(losses)
    if fitted[-1] > target:
        return Undefined(f"not reached with {rows[-1]:g} rows")
    place = int(np.argmax(fitted <= target))
    if place == 0:
        return float(rows[0]) if fitted[0] == target else Undefined(f"reached already with {rows[0]:g} rows or fewer")
    part = (fitted[place - 1] - target) / (fitted[place - 1] - fitted[place])
    logs = np.log(rows[place - 1 : place + 1])
    return float(np.exp(logs[0] + part * (logs[1] - logs[0])))


def data_multiplier(rows: np.ndarray, base: np.ndarray, arm: np.ndarray, target: float) -> Value:
    """How many times as many rows the base needs as the arm to reach the target. [P], [P], [P]."""
    needed = rows_to_reach(rows, base, target), rows_to_reach(rows, arm, target)
    for name, found in zip(("the other arm", "the arm"), needed, strict=True):
        if isinstance(found, Undefined):
            return Undefined(f"{name}: {found.reason}")
    first, second = (float(found) for found in needed if not isinstance(found, Undefined))
    return first / second


def ratio_interval(value: float, without: Sequence[Value]) -> tuple[float, float] | None:
    """The 95 % interval of a positive ratio, from what it is without each of k runs: a jackknife of its logarithm.

    se² = (k − 1) / k · Σ (log θ_(i) − mean)², k − 1 degrees of freedom. None for one run, where it has no value without
    some run, and where leaving out a run changes nothing. Tukey, 1958.
    """
    known = [float(each) for each in without if not isinstance(each, Undefined) and each > 0.0]
    count = len(without)
    if count < 2 or len(known) < count or value <= 0.0 or np.ptp(known) == 0.0:
        return None
    logs = np.log(known)
    half = float(stdtrit(count - 1, 0.975)) * float(((count - 1) / count * ((logs - logs.mean()) ** 2).sum()) ** 0.5)
    return value * float(np.exp(-half)), value * float(np.exp(half))
