"""Stitching runs the front of one network into the tail of another, through one new layer that is matched first.

    fused = tail_B( stitch( front_A(canvas) ) )                    [N, D_B]

The stitch is a 1 x 1 convolution (with tokens, a linear map) between the two cuts. Before training it is fitted on
training rows, without labels: by least squares to B's own block at the cut, then (`match: penultimate`) by gradient
steps so that B's penultimate features come out. Matching at the cut alone is not enough at shallow cuts: what is small
there need not be small where it is used. The first source gives the front up to its cut, the second the tail from the
first of its stages on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from transfuse.fusion.connectors import Connector, End, as_map, grid_of, resized
from transfuse.fusion.joints import pooled
from transfuse.fusion.structure._host import members_of

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front

CITATION = (
    "Lenc and Vedaldi, Understanding image representations by measuring their equivariance and equivalence, CVPR 2015; "
    "Bansal et al., Revisiting model stitching, NeurIPS 2021"
)
PARAMETERS = {
    "match": {
        "type": "str",
        "default": "penultimate",
        "options": ("penultimate", "cut", "none"),
        "doc": "where the stitch is fitted before training",
    },
    "steps": {"type": "int", "default": 200, "low": 1, "high": 100_000, "doc": "gradient steps of that fit"},
}
TRAITS = {"accepts": "any", "symmetric": False, "convex_head": False, "least": 2, "most": 2}
READS = [
    {"of": "host", "at": "cut"},
    {"of": "guests", "at": "entry", "use": "target"},
    {"of": "guests", "at": "features", "use": "target"},
]
BATCH, RATE, RIDGE = 32, 3e-3, 1e-6


class Stitched(nn.Module):
    """`forward(blocks: A's at the cut) -> [N, width]`; `settle(blocks, [B's block at the cut, B's features])`."""

    def __init__(self, fronts: Sequence[Front], match: str, steps: int) -> None:
        super().__init__()
        host, guest = (members_of(fronts, host=one)[0] for one in (True, False))
        cut = next(front for front in fronts if front.member == host)
        enter = next(front for front in fronts if front.member == guest)
        self.match, self.steps = match, steps
        self.begin = cut.begin() if cut.use == "place" else None
        self.stitch = Connector(End.of(cut), End.of(enter), normalise=False)
        self.tail = enter.to(None)
        self.width = enter.features.width
        self.seed = int(torch.randint(2**31 - 1, (1,), device="cpu"))
        # What is left of the variance of B's features, before and after each fit; 1 is no better than their mean.
        self.unmatched: dict[str, float] = {}

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        block = blocks[0] if self.begin is None else self.begin(blocks[0])
        return pooled(self.tail(self.stitch(block)))

    def settle(self, blocks: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Fit the stitch on training rows: at the cut, then where the features are read."""
        if self.match == "none":
            return
        with torch.no_grad():
            block = blocks[0] if self.begin is None else self.begin(blocks[0])
            wanted = pooled(targets[1])
            spread = wanted.var(dim=0, unbiased=False).clamp_min(1e-6)
            self._note("start", block, wanted, spread)
            self._at_cut(block, targets[0])
            self._note("cut", block, wanted, spread)
        if self.match == "penultimate":
            self._at_features(block, wanted, spread)
            with torch.no_grad():
                self._note("penultimate", block, wanted, spread)

    def _note(self, when: str, block: Tensor, wanted: Tensor, spread: Tensor) -> None:
        parts = [self._error(block[at : at + BATCH], wanted[at : at + BATCH], spread) * len(block[at : at + BATCH])
                 for at in range(0, len(block), BATCH)]  # fmt: skip
        self.unmatched[when] = float(sum(parts)) / len(block)

    def _error(self, block: Tensor, wanted: Tensor, spread: Tensor) -> Tensor:
        return ((pooled(self.tail(self.stitch(block))) - wanted).square() / spread).mean()

    def _at_cut(self, block: Tensor, wanted: Tensor) -> None:
        """Least squares of B's block on A's: W = (X'X + ridge)^-1 X'Y over all rows and places."""
        target = as_map(wanted)
        x = resized(as_map(block), target.shape[2:]).permute(0, 2, 3, 1).flatten(0, 2).double()
        y = target.permute(0, 2, 3, 1).flatten(0, 2).double()
        middle, level = x.mean(dim=0), y.mean(dim=0)
        x, y = x - middle, y - level
        gram = x.T @ x
        gram.diagonal().add_(RIDGE * gram.diagonal().mean() + 1e-12)
        weight = torch.linalg.solve(gram, x.T @ y).T
        project = self.stitch.project
        project.weight.copy_(weight[:, :, None, None])
        if project.bias is not None:
            project.bias.copy_(level - weight @ middle)
        grid = grid_of(wanted.shape[1]) if wanted.dim() == 3 else None
        if self.stitch.prefix is not None and grid is not None:
            self.stitch.prefix.copy_(wanted[:, : grid[0]].mean(dim=0))

    def _at_features(self, block: Tensor, wanted: Tensor, spread: Tensor) -> None:
        """Adam on the relative squared error at B's features; the best of the start and every tenth step is kept."""
        learned = list(self.stitch.parameters())
        first, second = ([torch.zeros_like(value) for value in learned] for _ in range(2))
        order = torch.Generator().manual_seed(self.seed)
        best, kept = self.unmatched["cut"], [value.detach().clone() for value in learned]
        for step in range(1, self.steps + 1):
            rows = torch.randint(len(block), (min(BATCH, len(block)),), generator=order).to(block.device)
            with torch.enable_grad():
                gradients = torch.autograd.grad(self._error(block[rows], wanted[rows], spread), learned)
            # Adam in its three lines: a whole optimiser takes seconds to import.
            with torch.no_grad():
                for value, gradient, mean, square in zip(learned, gradients, first, second, strict=True):
                    mean.mul_(0.9).add_(gradient, alpha=0.1)
                    square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                    size = (square / (1 - 0.999**step)).sqrt_().add_(1e-8)
                    value.sub_(RATE / (1 - 0.9**step) * mean / size)
            if step % 50 == 0 or step == self.steps:
                with torch.no_grad():
                    self._note("penultimate", block, wanted, spread)
                if self.unmatched["penultimate"] < best:
                    best, kept = self.unmatched["penultimate"], [value.detach().clone() for value in learned]
        with torch.no_grad():
            for parameter, value in zip(learned, kept, strict=True):
                parameter.copy_(value)


def build(fronts: Sequence[Front], *, match: str, steps: int) -> nn.Module:
    """The stitch and the tail it leads into."""
    return Stitched(fronts, match, steps)
