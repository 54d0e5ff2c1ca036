"""Low-rank adapters change frozen sources by little: each layer's weight gets an addition of few numbers.

    lora      W' = W + (scale / rank) B A        A [rank, in * k * k], B [out, rank]; linear layers and convolutions
    parallel  W' = W + centre(A)                 A [out, in], a 1 x 1 convolution beside each larger one
    fused     = [features_1, ..., features_K]    of the sources so adapted, [N, sum D_k]

B (for parallel, A) starts at zero, so the sources start as they are. The additions are of the weights' own shape, so a
trained network costs what the sources cost. Grouped convolutions have few weights and are left alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from transfuse.fusion.joints import pooled
from transfuse.fusion.parts import Borrowed

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front

CITATION = (
    "Hu et al., LoRA, ICLR 2022; Rebuffi et al., Efficient parametrization of multi-domain networks (parallel residual "
    "adapters), CVPR 2018"
)
PARAMETERS = {
    "rank": {"type": "int", "default": 4, "low": 1, "high": 4096, "doc": "rank of an addition"},
    "scale": {"type": "float", "default": 4.0, "low": 0.0, "high": 1e4, "doc": "an addition counts scale / rank"},
    "kind": {"type": "str", "default": "lora", "options": ("lora", "parallel"), "doc": "the form of the additions"},
}
TRAITS = {"accepts": "any", "joints": "plain", "symmetric": False, "convex_head": False}
READS = [{"of": "each", "at": "canvas"}, {"of": "each", "at": "features", "use": "place"}]


class Addition(nn.Module):
    """What is added to one weight [out, in, ...]: `forward() -> [out, in, ...]`."""

    def __init__(self, path: str, weight: Tensor, rank: int, scale: float, kind: str) -> None:
        super().__init__()
        self.path, self.kind = path, kind
        self.shape = tuple(weight.shape)
        out, entering = self.shape[0], math.prod(self.shape[1:])
        rank = min(rank, out, entering)
        self.scale = scale / rank
        if kind == "lora":
            self.down = nn.Parameter(torch.randn(rank, entering) / math.sqrt(entering))
            self.up = nn.Parameter(torch.zeros(out, rank))
        else:
            self.beside = nn.Parameter(torch.zeros(out, self.shape[1]))

    def forward(self) -> Tensor:
        if self.kind == "lora":
            return (self.scale * (self.up @ self.down)).view(self.shape)
        rows, columns = self.shape[2:]
        edges = (columns // 2, columns - 1 - columns // 2, rows // 2, rows - 1 - rows // 2)
        return nn.functional.pad(self.beside[:, :, None, None], edges)

    def extra_repr(self) -> str:
        return f"{self.path} {list(self.shape)}, {self.kind}"


class Adapted(nn.Module):
    """One source with additions: `forward(canvas) -> [N, D]`."""

    def __init__(self, front: Front, rank: int, scale: float, kind: str) -> None:
        super().__init__()
        source = front.source
        self.tap = front.tap
        self.source = Borrowed(source)
        layers = [(path, layer) for path, layer in source.leading_to(front.tap).items() if _fits(layer, kind)]
        self.additions = nn.ModuleList(
            [Addition(f"{path}.weight", layer.weight, rank, scale, kind) for path, layer in layers]  # pyright: ignore
        )
        self._merged: tuple[Any, dict[str, Tensor]] | None = None

    def forward(self, canvas: Tensor) -> Tensor:
        source = self.source.__dict__["part"]
        weights = self._weights(dict(source.named_parameters()))
        return pooled(torch.func.functional_call(source, weights, (canvas, [self.tap]))[self.tap])

    def _weights(self, own: dict[str, nn.Parameter]) -> dict[str, Tensor]:
        """The changed weights; without gradients they are kept for as long as nothing they rest on changes."""
        if torch.is_grad_enabled():
            return {one.path: own[one.path] + one() for one in self.additions}  # pyright: ignore
        rest = [*self.parameters(), *(own[one.path] for one in self.additions)]  # pyright: ignore[reportArgumentType]
        state = [(value.data_ptr(), value._version) for value in rest]
        kept = self._merged
        if kept is None or kept[0] != state:
            merged: dict[str, Tensor] = {one.path: own[one.path] + one() for one in self.additions}  # pyright: ignore
            kept = self._merged = state, merged
        return kept[1]

    def __getstate__(self) -> dict[str, Any]:
        # Kept weights belong to this very network; a copy makes its own.
        return self.__dict__ | {"_merged": None}


def _fits(layer: nn.Module, kind: str) -> bool:
    """Whether a layer gets an addition of this kind."""
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and (kind == "lora" or max(layer.kernel_size) > 1)
    return kind == "lora" and isinstance(layer, nn.Linear)


class Lora(nn.Module):
    """`forward(blocks: the canvas) -> [N, width]`."""

    def __init__(self, fronts: Sequence[Front], rank: int, scale: float, kind: str) -> None:
        super().__init__()
        places = [front for front in fronts if not front.of_canvas]
        self.sources = nn.ModuleList([Adapted(front, rank, scale, kind) for front in places])
        self.width = sum(front.width for front in places)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        return torch.cat([source(blocks[0]) for source in self.sources], dim=1)


def build(fronts: Sequence[Front], *, rank: int, scale: float, kind: str) -> nn.Module:
    """The sources with their additions."""
    return Lora(fronts, rank, scale, kind)
