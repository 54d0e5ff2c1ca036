"""The best point on the straight way between two ends: from the base to one member, or from one member to another.

One name: its value goes from its lowest to its highest in equal steps. Two names: the first falls as the second rises.
Both ends are among the points, so the path is never worse on the rows it was chosen on than the better end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from transfuse.errors import UserError

CITATION = "Wortsman et al., Robust fine-tuning of zero-shot models (WiSE-FT), CVPR 2022"
PARAMETERS = {
    "points": {"type": "int", "default": 11, "low": 2, "high": 1001, "doc": "points on the way, ends included"}
}


def choose(
    space: Mapping[str, tuple[float, float]],
    score: Callable[[Mapping[str, float]], float],
    budget: int,
    rng: np.random.Generator,
    points: int = 11,
) -> dict[str, float]:
    """The values at the point with the lowest loss; of equal ones the earliest. At most `budget` points, at least 2."""
    if len(space) not in (1, 2):
        raise UserError("a path has one end beside the base, or two ends", got=f"{len(space)} members")
    names = list(space)
    tried = []
    for share in np.linspace(0.0, 1.0, max(2, min(points, budget))):
        low, high = space[names[-1]]
        values = {names[-1]: low + share * (high - low)}
        if len(names) == 2:
            first_low, first_high = space[names[0]]
            values = {names[0]: first_high - share * (first_high - first_low), **values}
        tried.append((score(values), values))
    return {name: float(value) for name, value in min(tried, key=lambda pair: pair[0])[1].items()}
