"""How alike two blocks of features are: without a debiased measure, wide blocks of few rows all look alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transfuse.errors import UserError
from transfuse.types import Undefined, Value

SMALLEST = 4
ROUNDING = 1e-12


@dataclass(frozen=True)
class Prepared:
    """A centred block [N, D] with what every comparison needs of its linear kernel: the diagonal [N] and the sums of
    its rows without the diagonal [N]."""

    block: np.ndarray
    diagonal: np.ndarray
    sums: np.ndarray


def prepare(block: np.ndarray) -> Prepared:
    """Centre a block and add up its linear kernel's rows, never forming the kernel."""
    values = np.asarray(block, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise UserError("a block must be finite numbers", expected="[N, D]", got=f"shape {list(values.shape)} or NaN")
    values = values - values.mean(axis=0)
    diagonal = np.einsum("nd,nd->n", values, values)
    return Prepared(values, diagonal, values @ values.sum(axis=0) - diagonal)


def hsic(first: Prepared, second: Prepared) -> float:
    """Unbiased HSIC of two linear kernels K, L with zeroed diagonals. Song et al., 2012 (HSIC_1).

    [tr(KL) + 1ᵀK1 1ᵀL1 / ((N − 1)(N − 2)) − 2 · 1ᵀKL1 / (N − 2)] / (N (N − 3)), for N ≥ 4. tr(KL) is ‖XᵀY‖² less
    the diagonals' part, or comes from the kernels where N² is smaller than that product: cost follows the smaller side.
    """
    rows = len(first.block)
    together = _inner(first.block, second.block) - float(first.diagonal @ second.diagonal)
    sums = float(first.sums.sum()) * float(second.sums.sum()) / ((rows - 1) * (rows - 2))
    cross = 2.0 * float(first.sums @ second.sums) / (rows - 2)
    return (together + sums - cross) / (rows * (rows - 3))


def _inner(first: np.ndarray, second: np.ndarray) -> float:
    """Σ_ij (x_i · x_j)(y_i · y_j) = ‖XᵀY‖²."""
    if len(first) ** 2 < first.shape[1] * second.shape[1]:
        return float(((first @ first.T) * (second @ second.T)).sum())
    return float(((first.T @ second) ** 2).sum())


def debiased_cka(first: Prepared, second: Prepared) -> Value:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with unbiased HSIC: about 0 for independent blocks of any width.

    1 for equal blocks, unchanged by rotations and scales; may be a little below 0. `Undefined` for fewer than four
    rows, or where a block does not vary. Kornblith et al., 2019; Nguyen et al., 2021.
    """
    if len(first.block) != len(second.block):
        raise UserError("two blocks must hold the same rows", got=f"{len(first.block)} and {len(second.block)}")
    if len(first.block) < SMALLEST:
        return Undefined(f"debiased similarity needs at least {SMALLEST} rows, got {len(first.block)}")
    own = [hsic(each, each) for each in (first, second)]
    least = [ROUNDING * float(each.diagonal.mean()) ** 2 for each in (first, second)]
    if any(value <= floor for value, floor in zip(own, least, strict=True)):
        return Undefined("one of the two blocks does not vary enough over these rows")
    return hsic(first, second) / (own[0] * own[1]) ** 0.5
