"""A network that answers by its mean over views of an image; without it every caller would write that loop anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from transfuse.fusion.made import Made
from transfuse.source.base import Source
from transfuse.source.door import canvas_of

# Right and down, in units of the reach.
PLACES = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))


class Viewed(Made):
    """Of classes log of the mean probabilities [N, C] over views, else the mean of what is answered.

    Views are the canvas itself, moved by `reach` of its side in four directions (its edge is repeated), and, with
    `mirror`, each of these mirrored too. Other taps are those of the canvas as it is. A gradient comes through where it
    does through the source.
    """

    def __init__(self, source: Source, reach: float, mirror: bool) -> None:
        super().__init__()
        self.source, self.reach, self.mirror = source, float(reach), bool(mirror)
        self.kind, self.temperature = source.kind, source.temperature
        self.card = replace(source.card, trainable=False, cuttable=False)

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        canvas = canvas_of(batch)
        found = self.source.blocks(canvas, taps)
        if "logits" in taps:
            others = [self.source.blocks(view, ("logits",))["logits"] for view in self.views(canvas)[1:]]
            found = {**found, "logits": self._mean(torch.stack([found["logits"], *others]).float())}
        return found

    def views(self, canvas: Tensor) -> list[Tensor]:
        """The canvas [N, 3, S, S] as it is, then its other views."""
        step = max(1, round(self.reach * canvas.shape[-1])) if self.reach else 0
        places = PLACES if step else PLACES[:1]
        views = [moved(canvas, step * right, step * down) for right, down in places]
        return [*views, *(view.flip(3) for view in views)] if self.mirror else views

    def _mean(self, answers: Tensor) -> Tensor:
        if self.kind != "multiclass":
            return answers.mean(dim=0)
        return answers.log_softmax(dim=2).logsumexp(dim=0) - torch.log(torch.tensor(float(len(answers))))

    def freeze(self, until: str | None = None) -> None:
        self.source.freeze(until)


def moved(canvas: Tensor, right: int, down: int) -> Tensor:
    """Each image moved by so many pixels, its edge repeated where nothing comes in. [N, 3, S, S]"""
    if not (right or down):
        return canvas
    at = torch.arange(canvas.shape[-1], device=canvas.device)
    across, along = ((at - by).clamp(0, len(at) - 1) for by in (right, down))
    return canvas[:, :, along][:, :, :, across]
