"""Users' own metrics: functions `(targets, scores) -> float`; without them only what we thought of could be judged.

A function is asked for the judged rows, and for every resample of them, as arrays whose rows are repeated as often as
they were drawn; so anything in the style of scikit-learn's metrics will do. Which direction is better must be declared:
as an attribute of the function (`direction = "lower"`), or in its name (`pkg.module:function?direction=lower`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.errors import UserError, unknown_name
from transfuse.evaluation.sums import sums_of
from transfuse.given import loaded, pointer
from transfuse.kinds import KINDS

OPTIONS = ("direction", "unit", "takes")
TAKES = ("probabilities", "answers", "ranks")
RESAMPLES = 400
# What a function may run into on a resample (a class that was not drawn, say) and still be a metric.
NOT_THERE = (ValueError, ZeroDivisionError, FloatingPointError, IndexError, KeyError)


@dataclass(frozen=True)
class Function:
    """A function as a metric: `takes` says whether it is given probabilities (or predicted numbers), answers, or what
    ranks the items: scores before any temperature."""

    name: str
    law: Callable[[Any, Any], Any]
    takes: str

    def value(self, targets: np.ndarray, probs: np.ndarray) -> float:
        """Of all rows. Raises `UserError` where the function fails or gives no number; NaN passes as undefined."""
        try:
            found = self._asked(targets, probs)
        except Exception as error:
            raise UserError(
                f"the metric '{self.name}' failed",
                got=f"{type(error).__name__}: {error}"[:300],
                hint="it is called as function(targets, scores) and gives one number",
            ) from error
        if isinstance(found, bool) or np.ndim(found) != 0 or not isinstance(found, int | float | np.number):
            raise UserError(f"the metric '{self.name}' gives no number", got=f"{type(found).__name__}: {found!r}"[:200])
        if math.isinf(float(found)):
            raise UserError(f"the metric '{self.name}' is infinite on the judged rows", got=str(found))
        return float(found)

    def weighted(self, targets: np.ndarray, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Of rows repeated as often as `weights [R, N]` say; NaN where it does not exist. -> [R]."""
        if len(weights) == 1 and np.all(weights == 1.0):
            return np.array([self.value(targets, probs)])
        found = np.empty(len(weights))
        for place, counts in enumerate(weights):
            rows = np.repeat(np.arange(len(counts)), counts.astype(np.intp))
            try:
                found[place] = float(self._asked(targets[rows], probs[rows]))
            except NOT_THERE:
                found[place] = np.nan
        return found

    def _asked(self, targets: np.ndarray, probs: np.ndarray) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.law(_single(targets), _single(self._scores(targets, probs)))

    def _scores(self, targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
        if self.takes != "answers":
            return probs
        return probs.argmax(axis=1) if targets.ndim == 1 else (probs >= 0.5).astype(np.int64)


def _single(array: np.ndarray) -> np.ndarray:
    """One target is a list of numbers [N], as functions expect it."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def described(text: str, folder: Path) -> dict[str, Any]:
    """The fields of a metric from a pointer such as `pkg.module:function?direction=lower`."""
    where = pointer(text, OPTIONS)
    found = loaded(where, folder)
    return fields(text, found, where.options)


def fields(name: str, found: Any, options: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a metric from a function, or from anything that `sums_of` understands.

    Raises: `UserError` for what is neither, for a direction that is missing or unknown.
    """
    declared = dict(getattr(found, "TRAITS", {}) or {})
    told = {key: options.get(key, declared.get(key, getattr(found, key, None))) for key in OPTIONS}
    if told["direction"] not in ("higher", "lower"):
        hint = f"function.direction = 'lower', or '{name.split('?')[0]}?direction=lower'"
        if told["direction"] is not None:
            raise unknown_name("direction", str(told["direction"]), ("higher", "lower"), where=name)
        raise UserError(f"the metric '{name}' does not say which direction is better", hint=hint)
    shared = {
        "name": name,
        "direction": told["direction"],
        "unit": str(told["unit"] or ""),
        "low": declared.get("low"),
        "high": declared.get("high"),
        "kinds": tuple(KINDS),
    }
    if (sums := sums_of(found)) is not None:
        return shared | {"takes": "values" if told["takes"] is None else told["takes"]} | sums
    if not callable(found):
        raise UserError(f"the metric '{name}' is no function", got=type(found).__name__)
    takes = told["takes"] or "probabilities"
    if takes not in TAKES:
        raise unknown_name("kind of scores", str(takes), TAKES, where=name)
    law = Function(name, found, takes)
    read = "ranks" if takes == "ranks" else "probabilities"
    return shared | {"takes": read, "weighted": law.weighted, "resamples": RESAMPLES}
