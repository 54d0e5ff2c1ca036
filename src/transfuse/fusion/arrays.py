"""numpy and torch by one name: without it each merge would be written twice, or could not be trained through."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np


def library(x: Any) -> ModuleType:
    """numpy for numpy's arrays, torch for tensors; both have the functions that merges use."""
    if isinstance(x, np.ndarray | np.generic):
        return np
    import torch

    return torch


def numbers(x: Any) -> np.ndarray:
    """The values as a numpy array, for what no gradient goes through: masks, thresholds, counts."""
    return x if isinstance(x, np.ndarray) else np.asarray(x.detach().cpu().numpy() if hasattr(x, "detach") else x)


def alike(values: np.ndarray, example: Any) -> Any:
    """The values in the library and type of the example."""
    if isinstance(example, np.ndarray | np.generic):
        return values.astype(example.dtype)
    import torch

    return torch.as_tensor(np.ascontiguousarray(values), dtype=example.dtype, device=example.device)


def weighted(w: Any, x: Any) -> Any:
    """sum_k w_k x_k: w [K], x [K, *S] -> [*S], numpy or torch, in one pass over x."""
    flat = x.reshape(len(x), -1)
    # numpy's own loop: the same bits however many threads a linear algebra library takes.
    return (np.einsum("k,kn->n", w, flat) if library(x) is np else w @ flat).reshape(x.shape[1:])
