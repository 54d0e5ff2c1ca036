"""Units of two networks, of equal number or not, are matched by optimal transport of what they do.

    T = argmin sum_ij T_ij |a_i - b_j|^2,   T >= 0,  T 1 = 1/n,  T' 1 = 1/n_k      a, b: activations on the same images
    into = n T,   out_of = n_k T'           each unit of the kept network is the mean of what is sent to it

A plugin: `pip install recipes/ot_fusion`, then `transfuse.merge("weights/mean", [small, large], align="ot_fusion",
data=images)` gives a network of the first one's widths. The transport is exact, by the assignment of equal shares of
units; widths whose least common multiple is above 4096 are refused. Activations are centred and have unit length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.errors import UserError
from transfuse.fusion.resizing import Maps
from transfuse.source.hidden_units.groups import Groups

CITATION = "Singh and Jaggi, Model fusion via optimal transport, NeurIPS 2020"
PARAMETERS: dict[str, dict[str, Any]] = {}
TRAITS = {"resizes": True}
NEEDS = ("activations",)
LARGEST = 4096


def match(
    groups: Groups,
    kept: Mapping[str, np.ndarray],
    other: Mapping[str, np.ndarray],
    stat: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    others: Groups,
) -> Maps:
    """The maps that bring `other`, whose groups are `others`, to the widths of `kept`."""
    ours, theirs = stat["activations"]
    into, out_of = {}, {}
    for part in range(len(groups.parts)):
        cost = np.zeros((groups.size(part), others.size(part)))
        for key in (key for key in ours if key.split("|")[0] == str(part)):
            a, b = _standard(ours[key]), _standard(theirs[key])
            cost += np.square(a).sum(axis=0)[:, None] + np.square(b).sum(axis=0)[None] - 2 * a.T @ b
        shares = transport(cost)
        into[part], out_of[part] = len(shares) * shares, shares.shape[1] * shares.T
    return Maps(into, out_of)


def transport(cost: np.ndarray) -> np.ndarray:
    """The cheapest [n, m] >= 0 whose rows sum to 1/n and columns to 1/m."""
    from scipy.optimize import linear_sum_assignment

    n, m = cost.shape
    total = math.lcm(n, m)
    if total > LARGEST:
        raise UserError(
            "the widths of these layers have no small common multiple",
            expected=f"a least common multiple of at most {LARGEST}",
            got=f"{n} and {m} units",
        )
    # A unit as so many equal shares makes transport an assignment.
    rows, columns = linear_sum_assignment(np.repeat(np.repeat(cost, total // n, axis=0), total // m, axis=1))
    found = np.zeros((n, m))
    np.add.at(found, (rows // (total // n), columns // (total // m)), 1.0 / total)
    return found


def _standard(values: np.ndarray) -> np.ndarray:
    wide = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    return wide / np.maximum(np.sqrt(np.square(wide).sum(axis=0)), 1e-12)
