"""Rows asked in batches that shrink where memory does not suffice; without it one large source would end a run.

A batch that does not fit is asked again in halves, down to single rows. What happened goes to the journal and into the
artifact: other batches may change low bits, so a machine with more memory need not give the very same ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from transfuse.errors import UserError, out_of_memory
from transfuse.mapped import room
from transfuse.steps import Context


def halved(
    rows: np.ndarray, size: int, ask: Callable[[np.ndarray], np.ndarray], context: Context
) -> tuple[np.ndarray, dict[str, Any]]:
    """`ask(rows)` [n, ...] for every batch of `size` rows in order, together; and what to add to the step's record.

    A large answer lies in a file of the store's scratch folder, not in memory.
    The record is empty where all batches fitted, else `halved_to` is the size of the last ones. Raises UserError where
    a single row does not fit.
    """
    answers: np.ndarray | None = None
    first, start = size, 0
    while start < len(rows):
        found = _fitting(rows[start : start + size], ask)
        if found is None and size == 1:
            raise UserError(
                "there is not enough memory for a single image",
                hint="a smaller canvas or source, or run: {device: cpu}; what is done is kept",
            )
        if found is None:
            size //= 2
            context.emit("out_of_memory", batch=2 * size, halved_to=size)
            continue
        if answers is None:
            answers = room((len(rows), *found.shape[1:]), found.dtype, context.store.scratch)
        answers[start : start + size] = found
        start += size
        context.emit("progress", done=min(start, len(rows)), of=len(rows))
    if answers is None:
        raise ValueError("no rows, no answer")
    return answers, {} if size == first else {"halved_to": size}


def _fitting(rows: np.ndarray, ask: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
    """The answer, or None where memory did not suffice; nothing of the attempt is held any more."""
    try:
        return ask(rows)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
