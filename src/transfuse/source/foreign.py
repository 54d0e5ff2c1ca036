"""Networks that another runtime computes: without this file each would hide its cost and forget that nothing trains it.

A foreign network is frozen: numbers in, numbers out, no gradient. It looks like any other module to a source: what it
can show are children through which its blocks pass, so taps are read there as everywhere.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.errors import UserError

Note = Callable[[int], None]
_note: ContextVar[Note | None] = ContextVar("flops_of_foreign_runtimes", default=None)
LOGITS = "logits"
# Children that show blocks; a tap of the same name is an alias of the child's output.
SHOWN = {"vector": "features", "map": "plane", "tokens": "sequence"}


@contextlib.contextmanager
def noting(note: Note) -> Iterator[None]:
    """Inside, foreign networks tell `note` the FLOPs of every pass, which no counter of PyTorch's operators can see."""
    token = _note.set(note)
    try:
        yield
    finally:
        _note.reset(token)


class Foreign(nn.Module):
    """A network of another runtime: prepared images [N, C, S, S] in, logits [N, K] out, never a gradient.

    Subclasses give `answer` and `flops`, and name what they show: any of `vector`, `map`, `tokens`. `stored` is how
    many numbers it has learned.
    """

    device: Tensor

    def __init__(self, shown: tuple[str, ...], stored: int) -> None:
        super().__init__()
        self.shown = shown
        self.stored = stored
        for name in shown:
            self.add_module(SHOWN[name], nn.Identity())
        self.register_buffer("device", torch.empty(0), persistent=False)
        self._numbers = torch.empty(stored, device="meta")

    @abstractmethod
    def answer(self, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """`logits` and all that is shown, for float32 images [N, C, S, S]."""

    @abstractmethod
    def flops(self, shape: tuple[int, ...]) -> int:
        """FLOPs of one pass over images of this shape, 2 per multiply-add."""

    def forward(self, images: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            raise UserError("a network of another runtime cannot be exported", hint="export the other members")
        if (note := _note.get()) is not None:
            note(self.flops(tuple(images.shape)))
        blocks = self.answer(np.ascontiguousarray(images.detach().cpu().numpy(), dtype=np.float32))
        for name in self.shown:
            getattr(self, SHOWN[name])(self._here(blocks[name]))
        return self._here(blocks[LOGITS])

    def _here(self, block: np.ndarray) -> Tensor:
        # A copy: runtimes may give memory that they write into again.
        return torch.from_numpy(np.array(block, dtype=np.float32)).to(self.device.device)

    def loose(self) -> list[Tensor]:
        """What it learned, as one tensor without memory: counted, and never trained."""
        return [self._numbers]
