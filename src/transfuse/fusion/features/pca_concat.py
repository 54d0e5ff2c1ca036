"""PCA-reduced concatenation keeps the directions in which each source varies most, and puts these side by side.

    h_k = (block_k - mean_k) P_k / s,    P_k [D_k, m_k] = first m_k = min(columns, D_k) eigenvectors of the covariance
    fused = [h_1, ..., h_K]                              [N, m_1 + ... + m_K]

Closed form: `fit` computes P_k from the training rows, nothing in it is trained. `s` is the square root of the source's
mean kept variance, so that sources are equally loud while directions within one keep their proportions. A direction's
sign is that of its largest entry. Before `fit` the first columns pass unchanged. With fewer rows than columns the
missing directions are zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CITATION = "Pearson, On lines and planes of closest fit, 1901; Jolliffe, Principal component analysis, 2002"
PARAMETERS = {
    "columns": {"type": "int", "default": 128, "low": 1, "high": 65536, "doc": "directions kept of each source"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "vector", "symmetric": False, "convex_head": True}


def directions(scatter: Tensor, count: int) -> Tensor:
    """The first `count` eigenvectors [D, count] of a symmetric [D, D], the largest entry of each positive."""
    _, vectors = torch.linalg.eigh(scatter)
    kept = vectors.flip(1)[:, :count]
    largest = kept.gather(0, kept.abs().argmax(dim=0, keepdim=True))
    return kept * torch.where(largest < 0, -1.0, 1.0)


class Fuser(nn.Module):
    """`forward(blocks: K of [N, D_k]) -> [N, width]`; `fit(blocks, targets)` comes before it."""

    def __init__(self, widths: Sequence[int], *, columns: int, dropout: float) -> None:
        super().__init__()
        self.kept = [min(columns, width) for width in widths]
        self.width = sum(self.kept)
        for index, (width, kept) in enumerate(zip(widths, self.kept, strict=True)):
            self.register_buffer(f"mean{index}", torch.zeros(width))
            self.register_buffer(f"turn{index}", torch.eye(width, kept))
        self.dropout = nn.Dropout(dropout)

    def fit(self, blocks: Sequence[Tensor], targets: Tensor | None) -> None:
        """Mean and directions of each block's training rows [N, D_k]; targets are not looked at."""
        for index, (block, kept) in enumerate(zip(blocks, self.kept, strict=True)):
            wide = block.double()
            mean = wide.mean(dim=0)
            centred = wide - mean
            turn = directions(centred.T @ centred, kept)
            spread = (centred @ turn).square().mean().sqrt()
            getattr(self, f"mean{index}").copy_(mean)
            getattr(self, f"turn{index}").copy_(turn / spread if spread > 1e-6 else turn)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        parts = [
            (block - getattr(self, f"mean{index}")) @ getattr(self, f"turn{index}")
            for index, block in enumerate(blocks)
        ]
        return self.dropout(torch.cat(parts, dim=1))
