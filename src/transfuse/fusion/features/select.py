"""Feature selection keeps the columns, or the whole blocks, that tell the classes apart best, wherever they come from.

    F_d = (variance between class means) / (variance within classes), each over its degrees of freedom   of column d
    unit columns:  fused = the `keep` columns of [block_1 .. block_K] with the largest F, in their old order  [N, keep]
    unit blocks:   fused = [m_1 block_1 .. m_K block_K], m_k = 1 for the `keep` blocks of largest mean F, else 0  [N, D]

Closed form: `fit` computes F from the training rows, which must have classes. A constant column has F = 0; equal F goes
to what stands first. Before `fit` the first ones are kept. `keep: 0` is a quarter of what there is, at least one; more
than there is cannot be kept and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from transfuse.errors import UserError

CITATION = "Fisher's analysis of variance, 1925; Guyon, Elisseeff, An introduction to feature selection, JMLR 2003"
PARAMETERS = {
    "keep": {"type": "int", "default": 0, "low": 0, "high": 1048576, "example": 1, "doc": "how many; 0: a quarter"},
    "unit": {"type": "str", "default": "columns", "options": ("columns", "blocks"), "doc": "what is kept or left out"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "vector", "symmetric": False, "convex_head": True, "selects": True}


def variance_ratio(block: Tensor, targets: Tensor) -> Tensor:
    """F of each column [D] from rows [N, D] and class numbers [N]; infinite where classes do not vary within."""
    wide = block.double()
    classes, member = torch.unique(targets, return_inverse=True)
    counts = torch.bincount(member, minlength=len(classes)).double()[:, None]
    means = torch.zeros(len(classes), wide.shape[1], dtype=torch.float64, device=wide.device)
    means = means.index_add(0, member, wide) / counts
    between = (counts * (means - wide.mean(dim=0)).square()).sum(dim=0)
    within = (wide - means[member]).square().sum(dim=0)
    ratio = (between / max(len(classes) - 1, 1)) / (within / max(len(wide) - len(classes), 1))
    flat = between <= 1e-12 * len(wide)
    return torch.where(flat, torch.zeros_like(ratio), ratio)


class Fuser(nn.Module):
    """`forward(blocks: K of [N, D_k]) -> [N, width]`; `fit(blocks, targets)` comes before it."""

    kept: Tensor

    def __init__(self, widths: Sequence[int], *, keep: int, unit: str, dropout: float) -> None:
        super().__init__()
        total = sum(widths) if unit == "columns" else len(widths)
        if keep > total:
            raise UserError(
                f"features/select cannot keep more {unit} than there are", expected=f"1 to {total}", got=f"{keep}"
            )
        count = keep or max(1, total // 4)
        self.widths, self.unit = list(widths), unit
        self.width = count if unit == "columns" else sum(widths)
        self.register_buffer("kept", torch.arange(count))
        self.dropout = nn.Dropout(dropout)

    def fit(self, blocks: Sequence[Tensor], targets: Tensor | None) -> None:
        """Which are kept, from training rows [N, D_k] and their class numbers [N]."""
        if targets is None or targets.dim() != 1 or targets.is_floating_point():
            raise UserError(
                "features/select scores columns by classes", expected="one class a row", hint="features/pca_concat"
            )
        ratios = [variance_ratio(block, targets) for block in blocks]
        score = torch.cat(ratios) if self.unit == "columns" else torch.stack([ratio.mean() for ratio in ratios])
        best = torch.argsort(score, descending=True, stable=True)[: len(self.kept)]
        self.kept.copy_(best.sort().values)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        if self.unit == "columns":
            return self.dropout(torch.cat(list(blocks), dim=1)[:, self.kept])
        share = torch.zeros(len(blocks), dtype=blocks[0].dtype, device=blocks[0].device).index_fill(0, self.kept, 1.0)
        return self.dropout(torch.cat([share[index] * block for index, block in enumerate(blocks)], dim=1))
