"""Without this file, each source would prepare images and lay out its blocks in its own way.

The two sides of the door: `Preparation` turns the canvas into what a network wants, `block_of` turns what a network
gives into a block. Both are differentiable and change nothing in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse import fields, packed, texts
from transfuse.errors import UserError
from transfuse.fields import IMAGE, TEXT
from transfuse.source.table import cells_of
from transfuse.source.tokens import texts_of
from transfuse.types import Card, Prepare, Tap

# Luma of ITU-R BT.601, as Pillow converts to grey.
LUMA = (0.299, 0.587, 0.114)
TOLERANCE = 0.01


def canvas_of(batch: Tensor | Mapping[str, Any]) -> Tensor:
    """The images of a batch: a canvas [N, 3, S, S] of floats in [0, 1].

    Raises UserError for another shape or type, and for numbers outside [0, 1] (by more than 0.01, or NaN): an image in
    [0, 255] would otherwise give plausible wrong scores.
    """
    images = _images_in(batch)
    expected = "float images [N, 3, S, S] in [0, 1], or a mapping with the field 'image'"
    if not isinstance(images, Tensor):
        hint = "torch.from_numpy(images)" if isinstance(images, np.ndarray) else None
        raise UserError("a source wants images as a tensor", expected=expected, got=type(images).__name__, hint=hint)
    if images.dim() != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
        raise UserError("these images lie on no canvas", expected=expected, got=str(list(images.shape)))
    if not images.is_floating_point():
        raise UserError("these images are not floats", expected=expected, got=str(images.dtype), hint="images / 255")
    # A graph that is exported cannot look at numbers; who runs it must keep to [0, 1].
    if images.numel() and not torch.compiler.is_exporting():
        low, high = (bound.item() for bound in images.detach().aminmax())
        if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
            raise UserError("these images are not in [0, 1]", expected=expected, got=f"from {low:g} to {high:g}")
    # As NumPy divides; networks are float32.
    return images.float() if images.dtype == torch.float64 else images


def require_canvas(batch: Any, side: int | None, where: str) -> None:
    """Raises UserError for images of another size than a model was trained at: its answers would be plausible and
    wrong. Without a side any size goes; what is no image at all is for `canvas_of` to say.
    """
    images = None if side is None else _images_in(batch)
    if isinstance(images, Tensor) and images.dim() == 4 and tuple(images.shape[1:]) != (3, side, side):
        raise UserError(
            "these images are not of the size that this model answers on",
            where=where,
            expected=f"[N, 3, {side}, {side}]",
            got=str(list(images.shape)),
            hint=f"transfuse.data.canvas.place(pixels, {side}) crops and resizes as `transfuse predict` does",
        )


def _images_in(batch: Any) -> Any:
    images = batch.get("image") if isinstance(batch, Mapping) else batch
    return packed.part(images, "image") if packed.holds(images) else images


def inputs_of(batch: Any, field: str) -> Tensor:
    """What a source of this field takes of a batch: images on a canvas, the bytes of texts, or rows of several parts.

    Rows of several parts may also be given as a mapping {part: values}.
    """
    if field in (TEXT, IMAGE):
        return texts_of(batch) if field == TEXT else canvas_of(batch)
    held = packed.sizes(batch) if isinstance(batch, Tensor) and packed.holds(batch) else None
    if held is not None and all(held[part] for part in fields.parts(field)):
        return batch
    if held is not None or not isinstance(batch, Mapping):
        expected = f"a mapping with the fields {', '.join(fields.parts(field))}"
        raise UserError("this source wants items of several parts", expected=expected, got=type(batch).__name__)
    taken = {IMAGE: canvas_of, TEXT: texts_of, fields.COLUMNS: cells_of}
    return rows_of({part: taken[part](batch) for part in fields.parts(field)})


def rows_of(parts: Mapping[str, Tensor]) -> Tensor:
    """Rows [N, W] of tensors by part, as `transfuse.packed` lays them; differentiable in the images."""
    given = [parts[field] for field in packed.ORDER if field in parts]
    if len({len(each) for each in given}) > 1:
        got = ", ".join(f"{len(parts[field])} of {field}" for field in parts)
        raise UserError("the parts of a batch differ in number", got=got)
    head = given[0].new_tensor(packed.header(parts), dtype=torch.float32).expand(len(given[0]), -1)
    return torch.cat([head, *(each.float().flatten(1).to(given[0].device) for each in given)], dim=1)


def example(field: str, rows: int, side: int, device: torch.device | None = None) -> Tensor:
    """A batch that says nothing: grey images [N, 3, S, S], texts of common words [N, L], cells that are missing."""
    if field == TEXT:
        return torch.from_numpy(texts.example(rows, side)).to(device)
    grey = torch.full((rows, 3, side, side), 0.5, device=device)
    if field == IMAGE:
        return grey
    length = texts.BESIDE if IMAGE in fields.parts(field) else side
    every = {IMAGE: grey, TEXT: torch.from_numpy(texts.example(rows, length)).to(device)}
    every[fields.COLUMNS] = torch.zeros(rows, 1, device=device)
    return rows_of({part: every[part] for part in fields.parts(field)})


def preparation(card: Card, network: nn.Module) -> nn.Module:
    """What turns the canvas into what a network wants: a network of texts or of columns brings its own."""
    if card.field != IMAGE:
        return network.door(card.prepare)  # pyright: ignore[reportCallIssue]
    return Preparation(card.prepare, resize=not card.flexible)


class Preparation(nn.Module):
    """Canvas to network input: resize if the network is bound to its size, grey or reorder, scale, normalise.

    output = (channels · scale − mean) / std, [N, C, S', S'].
    """

    mean: Tensor
    std: Tensor
    luma: Tensor
    here: Tensor

    def __init__(self, prepare: Prepare, *, resize: bool) -> None:
        super().__init__()
        self.prepare = prepare
        self.resize = resize
        shape = (1, prepare.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(prepare.mean).reshape(shape), persistent=False)
        self.register_buffer("std", torch.tensor(prepare.std).reshape(shape), persistent=False)
        self.register_buffer("here", torch.empty(0), persistent=False)
        self.register_buffer("luma", torch.tensor(LUMA).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, batch: Tensor | Mapping[str, Any]) -> Tensor:
        images = canvas_of(batch)
        side = self.prepare.size
        if self.resize and images.shape[-1] != side:
            images = functional.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)
        if self.prepare.channels == 1:
            images = (images * self.luma).sum(1, keepdim=True)
        elif self.prepare.order == "bgr":
            images = images.flip(1)
        return (images * self.prepare.scale - self.mean) / self.std


def block_of(tap: Tap, raw: Tensor) -> Tensor:
    """What a network gave, as the block the tap promises: vector [N, D], map [N, C, H, W], tokens [N, T, D]."""
    if tap.layout == "nhwc":
        raw = raw.permute(0, 3, 1, 2)
    if tap.pooled:
        raw = raw.mean(1) if raw.dim() == 3 else raw.mean((2, 3))
    return raw


def raw_of(tap: Tap, block: Tensor) -> Tensor:
    """The way back into the network, for what follows a cut. An averaged block has none; `cut` refuses it before."""
    return block.permute(0, 2, 3, 1) if tap.layout == "nhwc" else block
