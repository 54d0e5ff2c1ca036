"""Tables of token embeddings in safetensors: without it a scaled or shortened table would be read as another."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from transfuse.errors import UserError
from transfuse.files.weights import load_safetensors
from transfuse.source.text_models import Table

WEIGHTS, MAPPING = "weights", "mapping"


def loaded(path: Path, where: str) -> Table:
    """The table of a file, in float32, with its weights and its mapping of tokens to rows where it has them.

    Raises UserError where there is not one table of numbers, or what stands beside it does not fit.
    """
    found = load_safetensors(path)
    tables = {name: each for name, each in found.items() if each.dim() == 2 and each.is_floating_point()}
    beside = {name: each for name, each in found.items() if name not in tables}
    if len(tables) != 1 or set(beside) - {WEIGHTS, MAPPING}:
        got = ", ".join(f"{name} {list(each.shape)}" for name, each in sorted(found.items())[:5])
        expected = f"one table [V, D], and perhaps '{WEIGHTS}' [V] and '{MAPPING}' [V]"
        raise UserError("this file holds no table of embeddings", where=where, expected=expected, got=got)
    (values,) = tables.values()
    if not len(values) or not values.shape[1]:
        raise UserError("this table is empty", where=where, got=f"{list(values.shape)}")
    rows, weights = _rows(beside.get(MAPPING), len(values), where), beside.get(WEIGHTS)
    known = len(values) if rows is None else len(rows)
    if weights is not None and (weights.shape != (known,) or not weights.is_floating_point()):
        raise UserError(f"'{WEIGHTS}' gives no number a token", where=where, expected=f"[{known}]", got=_told(weights))
    table = Table(values.shape[0], values.shape[1], None if weights is None else weights.float(), rows)
    with torch.no_grad():
        table.table.weight.copy_(values.float())
    return table


def _rows(mapping: Tensor | None, height: int, where: str) -> Tensor | None:
    if mapping is None:
        return None
    fits = mapping.dim() == 1 and len(mapping) > 0 and not mapping.is_floating_point()
    if not fits or int(mapping.min()) < 0 or int(mapping.max()) >= height:
        raise UserError(
            f"'{MAPPING}' gives no row a token", where=where, expected=f"0 to {height - 1}", got=_told(mapping)
        )
    return mapping.long()


def _told(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"
