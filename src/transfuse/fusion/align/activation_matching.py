"""Units are matched by what they do: those whose activations on the same images correlate most become one.

    maximise sum over units corr(a_i, b_turn(i)), order by order, by linear assignment

No iteration, since every order is matched by itself. Units that never change correlate with none and take what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.errors import UserError
from transfuse.fusion.turning import Turn, assigned, unturned
from transfuse.source.hidden_units.groups import Groups

CITATION = "Li et al., Convergent learning, ICLR 2016; Ainsworth et al., Git Re-Basin, ICLR 2023"
PARAMETERS: dict[str, dict[str, Any]] = {}
NEEDS = ("activations",)


def match(
    groups: Groups,
    kept: Mapping[str, np.ndarray],
    other: Mapping[str, np.ndarray],
    stat: Mapping[str, tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]],
    rng: np.random.Generator,
) -> Turn:
    """The turn of `other` after which its units do what those of `kept` do; `stat` has both networks' activations."""
    ours, theirs = stat["activations"]
    turn = unturned(groups)
    blocks, inner = list(turn.blocks), list(turn.inner)
    for order in range(len(groups.orders)):
        likeness = {part: _correlated(groups, ours, theirs, part) for part in groups.of_order(order)}
        blocks[order], found = assigned(groups, order, likeness)
        for part, places in found.items():
            inner[part] = places
    return Turn(tuple(blocks), tuple(inner))


def _correlated(
    groups: Groups, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], part: int
) -> np.ndarray:
    """Correlations of every unit of one network with every unit of the other, summed over places: [n, n]."""
    total = np.zeros((groups.size(part), groups.size(part)))
    for key in (key for key in ours if key.split("|")[0] == str(part)):
        if ours[key].shape != theirs[key].shape:
            raise UserError("the activations of two networks are not of the same images", where=f"part {key}")
        a, b = _standard(ours[key]), _standard(theirs[key])
        total += a.T @ b / len(a)
    return total


def _standard(values: np.ndarray) -> np.ndarray:
    wide = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    deviation = wide.std(axis=0)
    return wide / np.where(deviation > 1e-12 * max(float(deviation.max()), 1e-300), deviation, np.inf)
