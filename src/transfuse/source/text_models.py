"""Networks that read tokens: without them padding would be averaged with the words, and nobody would see it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transfuse.fields import TEXT
from transfuse.source.tokens import NOTHING, Tokens, Words
from transfuse.types import Prepare


def averaged(tokens: Tensor, there: Tensor) -> Tensor:
    """The mean of the tokens [N, T, D] that are `there` [N, T]; zeros where none is. [N, D]"""
    weights = there.to(tokens.dtype).unsqueeze(1)
    # A product of matrices, so that its cost is counted.
    return (weights @ tokens).squeeze(1) / weights.sum(2).clamp(min=1)


class Reading(nn.Module):
    """A network of texts and the words that it knows; token numbers [N, T] in, -1 where nothing stands."""

    field = TEXT

    def __init__(self, words: Words | None = None) -> None:
        super().__init__()
        self.words = words

    def door(self, prepare: Prepare) -> Tokens:
        """What turns canvases into token numbers."""
        assert self.words is not None  # noqa: S101 - an adapter gives them before anyone asks; for the type checker
        return Tokens(self.words, prepare.size)


class Transformer(Reading):
    """A Hugging Face network of texts: its classifier's scores [N, C], else its last block averaged over a text's
    tokens [N, D]."""

    def __init__(self, backbone: nn.Module, *, headed: bool, padding: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.headless = not headed
        self.padding = padding

    def forward(self, numbers: Tensor) -> Tensor:
        there = numbers != NOTHING
        # Attention needs something to look at, also in a text of no tokens.
        seen = there.clone()
        seen[:, 0] = True
        given = torch.where(there, numbers, torch.full_like(numbers, self.padding))
        found = self.backbone(input_ids=given, attention_mask=seen.long())
        return averaged(found.last_hidden_state, seen) if self.headless else found.logits


class Table(Reading):
    """Static embeddings: the mean of the vectors of a text's tokens, perhaps weighed by token. [N, D]

    mean_t w(t) v(r(t)), with a vector `v` a row [R, D], a weight `w` a token [V] and the row `r` of a token [V].
    """

    headless = True
    weights: Tensor | None
    rows: Tensor | None

    def __init__(self, height: int, width: int, weights: Tensor | None = None, rows: Tensor | None = None) -> None:
        super().__init__()
        self.table = nn.Embedding(height, width)
        self.register_buffer("weights", weights)
        self.register_buffer("rows", rows)

    def forward(self, numbers: Tensor) -> Tensor:
        there = numbers != NOTHING
        known = numbers.clamp(min=0)
        vectors = self.table(known if self.rows is None else self.rows[known])
        if self.weights is not None:
            vectors = vectors * self.weights[known].unsqueeze(2)
        return averaged(vectors, there)
