"""Members are taken in the order of their own scores, and each stays only if the mean with it is no worse.

    soup = {}; for each member by rising loss: soup += member if loss(mean of soup + member) <= loss(mean of soup)

The paper keeps a member that changes nothing (`strict: false`), its authors' script does not. Takes one score for each
member and one for each addition. Values are 1 for a member of the soup and 0 for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

CITATION = "Wortsman et al., Model soups, ICML 2022"
PARAMETERS = {
    "strict": {"type": "bool", "default": False, "doc": "whether a member must make the loss lower, not only no higher"}
}


def choose(
    space: Mapping[str, tuple[float, float]],
    score: Callable[[Mapping[str, float]], float],
    budget: int,
    rng: np.random.Generator,
    strict: bool = False,
) -> dict[str, float]:
    """The soup. A budget too small for all additions leaves the worst members out."""
    alone = {name: score({other: float(other == name) for other in space}) for name in space}
    order = sorted(space, key=lambda name: (alone[name], name))
    soup, loss = [order[0]], alone[order[0]]
    for name in order[1 : max(1, budget - len(space)) + 1]:
        tried = score({other: float(other in (*soup, name)) for other in space})
        if tried < loss or (tried == loss and not strict):
            soup, loss = [*soup, name], tried
    return {name: float(name in soup) for name in space}
