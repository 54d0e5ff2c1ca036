"""MMD makes features of labelled rows and of unlabelled ones from elsewhere the same in distribution.

    loss = task loss  +  pull · [ mean k(x, x') + mean k(y, y') − 2 mean k(x, y) ]
    k(a, b) = mean over s in {1/4, 1/2, 1, 2, 4} of exp(−|a − b|² / (s · b₀))

x are fused features of labelled rows, y of the pool's; b₀ is the mean squared distance of all pairs of the step, taken
as fixed. Means run over all pairs, a row with itself included, so the bracket is never below 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transfuse.train.objectives._domains import Drawn

CITATION = (
    "Gretton et al., A kernel two-sample test, JMLR 2012; Long et al., Learning transferable features with deep"
    " adaptation networks, ICML 2015"
)
PARAMETERS = {
    "pull": {"type": "float", "default": 1.0, "low": 0.0, "high": 1e6, "doc": "weight of the discrepancy"},
}
TRAITS = {"complete": True, "kinds": "multiclass, multilabel, regression"}
NEEDS = ("pool",)
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)


class Objective(Drawn):
    """`{"labels": task loss, "mmd": discrepancy}`."""

    name = "mmd"

    def apart(self, one: Tensor, other: Tensor) -> Tensor:
        return discrepancy(one, other)


def discrepancy(one: Tensor, other: Tensor) -> Tensor:
    """The squared maximum mean discrepancy of features [n, D] and [m, D]; 0 where all rows are equal."""
    rows = torch.cat([one, other])
    lengths = rows.square().sum(dim=1)
    apart = (lengths[:, None] + lengths - 2.0 * rows @ rows.T).clamp_min(0.0)
    unit = apart.detach().mean().clamp_min(torch.finfo(apart.dtype).tiny)
    kernel = torch.stack([torch.exp(-apart / (scale * unit)) for scale in SCALES]).mean(dim=0)
    count = len(one)
    return kernel[:count, :count].mean() + kernel[count:, count:].mean() - 2.0 * kernel[:count, count:].mean()
