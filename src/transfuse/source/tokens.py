"""Texts to token numbers, inside a source's door: without it every source of texts would tokenise in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from transfuse import packed, texts
from transfuse.errors import UserError
from transfuse.types import Prepare

NOTHING = -1


def texts_of(batch: Any) -> Tensor:
    """The texts of a batch: a canvas of bytes [N, L] uint8, as it is; a list of strings is laid on one.

    A mapping has them as `text`, rows of several parts in their place. Raises UserError for anything else.
    """
    given = batch.get("text") if isinstance(batch, Mapping) else batch
    if packed.holds(given):
        bytes_there = packed.part(given, "text")
        given = None if bytes_there is None else bytes_there.to(torch.uint8)
    if isinstance(given, Sequence) and not isinstance(given, str) and all(isinstance(each, str) for each in given):
        raws = [texts.content(each) for each in given]
        return torch.from_numpy(texts.laid(raws, max([1, *map(len, raws)])))
    if not isinstance(given, Tensor) or given.dim() != 2 or given.dtype != torch.uint8:
        got = f"{given.dtype} {list(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
        raise UserError(
            "a source of texts wants texts",
            expected="a list of strings, their UTF-8 bytes [N, L] uint8 with zeros after the end, or a mapping with "
            "the field 'text'",
            got=got,
        )
    return given


def prepare_of(tokens: int) -> Prepare:
    """How a source wants its texts: at most so many tokens; colours mean nothing to it."""
    return Prepare(size=tokens, mean=(), std=(), channels=0)


class Words:
    """A tokenizer that copies share: it is never changed, and would take a second to copy."""

    def __init__(self, tokenizer: Any, *, special: bool) -> None:
        self.tokenizer = tokenizer
        self.special = special

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def numbers(self, text: str) -> list[int]:
        """The numbers of a text's tokens, with those that frame it where the model wants them."""
        return self.tokenizer.encode(text, add_special_tokens=self.special).ids

    @property
    def largest(self) -> int:
        """The largest number that it gives."""
        return max(self.tokenizer.get_vocab(with_added_tokens=True).values(), default=0)


class Tokens(nn.Module):
    """Canvas to network input: the first `most` tokens [N, T] int64 of every text, -1 after its end.

    T is the same for every batch, so that a text's block does not depend on its neighbours.
    """

    here: Tensor

    def __init__(self, words: Words, most: int) -> None:
        super().__init__()
        self.words = words
        self.most = most
        self.words.tokenizer.enable_truncation(most)
        self.register_buffer("here", torch.empty(0), persistent=False)

    def forward(self, batch: Any) -> Tensor:
        """[N, T]; nothing learns through it."""
        canvas = texts_of(batch)
        found = torch.full((len(canvas), self.most), NOTHING, dtype=torch.int64)
        for row, text in zip(found, texts.read(canvas.cpu().numpy()), strict=True):
            numbers = self.words.numbers(text)
            row[: len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
        return found.to(self.here.device)
