"""Columns of a table behind a source's door: without it numbers and categories could be no member of a fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from transfuse import cells, packed, texts
from transfuse.errors import UserError
from transfuse.fields import COLUMNS
from transfuse.types import Prepare


def cells_of(batch: Any) -> Tensor:
    """The cells of a batch as bytes [N, K] uint8, from rows of several parts; a list of {column: cell} is laid out.

    A mapping has them as `columns`. Raises UserError for anything else.
    """
    given = batch.get(COLUMNS) if isinstance(batch, Mapping) else batch
    if isinstance(given, Sequence) and not isinstance(given, str) and all(isinstance(each, Mapping) for each in given):
        raws = [cells.content({str(name): str(cell) for name, cell in row.items()}) for row in given]
        return torch.from_numpy(texts.laid(raws, max([1, *map(len, raws)])))
    found = packed.part(given, COLUMNS) if packed.holds(given) else given
    if not isinstance(found, Tensor) or found.dim() != 2 or (found is given and found.dtype != torch.uint8):
        expected = "a list of {column: cell}, or a mapping that has it as 'columns'"
        raise UserError("a source of columns wants cells by name", expected=expected, got=type(given).__name__)
    return found.to(torch.uint8)


class Cells(nn.Module):
    """Canvas to network input: the block of `transfuse.cells` [N, D]; nothing learns through it."""

    here: Tensor

    def __init__(self, columns: cells.Schema) -> None:
        super().__init__()
        self.columns = columns
        self.register_buffer("here", torch.empty(0), persistent=False)

    def forward(self, batch: Any) -> Tensor:
        rows = cells.read(cells_of(batch).cpu().numpy())
        return torch.from_numpy(cells.encoded(rows, self.columns)).to(self.here.device)


class Columns(nn.Module):
    """A network without weights: the block of a table's columns [N, D] as it is. `names` are those it is asked for,
    None for all that the data have."""

    field = COLUMNS
    headless = True

    def __init__(self, names: tuple[str, ...] | None) -> None:
        super().__init__()
        self.names = names

    def door(self, prepare: Prepare) -> Cells:
        """What turns canvases into numbers."""
        return Cells(prepare.columns)

    def forward(self, block: Tensor) -> Tensor:
        return block
