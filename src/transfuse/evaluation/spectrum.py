"""One tridiagonal form of a Gram matrix, shared by all linear scores: eigenvectors, the dearest part, are never made.

    S = Q T Qᵀ,   z = Qᵀ b:   bᵀ (t I + S)⁻¹ b = zᵀ (t I + T)⁻¹ z,   log |t I + S| = sum log(t + eigenvalues of T)

A solve with T costs O(D) for any t, so a score may try as many t as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh_tridiagonal, eigvalsh_tridiagonal, get_lapack_funcs

_LAPACK = ("pttrf", "pttrs", "sytrd", "sytrd_lwork", "ormqr")
_pttrf, _pttrs, _sytrd, _sytrd_lwork, _ormqr = get_lapack_funcs(_LAPACK, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """T by its diagonal [D] and what stands beside it [D − 1]; `turned [D, q]` are right-hand sides Qᵀ b."""

    diagonal: np.ndarray
    beside: np.ndarray
    turned: np.ndarray

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """Of S, ascending, never below 0. [D]."""
        if len(self.diagonal) == 1:
            return np.maximum(self.diagonal, 0.0)
        return np.maximum(eigvalsh_tridiagonal(self.diagonal, self.beside, lapack_driver="sterf"), 0.0)

    @property
    def floor(self) -> float:
        """Eigenvalues up to here are rounding: D · eps · the largest, ten times over."""
        return 10.0 * len(self.diagonal) * np.finfo(np.float64).eps * float(self.eigenvalues[-1])

    @property
    def rank(self) -> int:
        """The number of eigenvalues that are not rounding."""
        return int((self.eigenvalues > self.floor).sum())

    def solver(self, shift: float) -> Solver:
        """(shift · I + T)⁻¹, for shift > 0, or 0 where S has full rank."""
        factored = _pttrf(self.diagonal + shift, self.beside)
        if factored[2] != 0:
            # Rounding left T a little below 0; a shift of that size is nothing beside its largest eigenvalue.
            factored = _pttrf(self.diagonal + max(shift, self.floor), self.beside)
        return Solver(factored[0], factored[1])

    def stacked(self, shifts: np.ndarray) -> Solver:
        """The same of several shifts one below the other, as one matrix of n · D rows: one call in place of n."""
        count, size = len(shifts), len(self.diagonal)
        beside = np.zeros((count, size))
        beside[:, : size - 1] = self.beside[: size - 1]
        diagonal = (self.diagonal + shifts[:, None]).ravel()
        factored = _pttrf(diagonal, beside.ravel()[: max(diagonal.size - 1, 1)])
        if factored[2] == 0:
            return Solver(factored[0], factored[1])
        alone = [self.solver(float(shift)) for shift in shifts]
        diagonal = np.concatenate([each.diagonal for each in alone])
        beside[:, : size - 1] = [each.beside[: size - 1] for each in alone]
        return Solver(diagonal, beside.ravel()[: max(diagonal.size - 1, 1)])

    def quadratic(self, columns: slice) -> np.ndarray:
        """zᵀ T⁺ z of each of these right-hand sides, with the pseudo-inverse where S lacks rank."""
        sides = self.turned[:, columns]
        if self.rank == len(self.diagonal):
            return np.einsum("dq,dq->q", sides, self.solver(0.0)(sides))
        values, vectors = eigh_tridiagonal(self.diagonal, self.beside)
        real = values > self.floor
        return ((vectors[:, real].T @ sides) ** 2 / values[real, None]).sum(axis=0)


@dataclass(frozen=True, eq=False)
class Solver:
    """A factored tridiagonal matrix; calling it solves for right-hand sides [D] or [D, q]."""

    diagonal: np.ndarray
    beside: np.ndarray

    def __call__(self, sides: np.ndarray) -> np.ndarray:
        return _pttrs(self.diagonal, self.beside, sides)[0]


def spectrum(gram: np.ndarray, sides: np.ndarray) -> Spectrum:
    """The tridiagonal form of a symmetric matrix [D, D] and the turned right-hand sides [D, q]. Householder, 1958."""
    size = len(gram)
    if size < 3:
        # The solver wants room for one number beside a diagonal of one.
        beside = gram[1:, :1].ravel().astype(np.float64) if size == 2 else np.zeros(1)
        return Spectrum(np.diag(gram).astype(np.float64), beside, np.asarray(sides, dtype=np.float64))
    work = int(_sytrd_lwork(size, lower=1)[0])
    # A symmetric matrix is its own transpose: what lies row by row is given as it lies, without a copy.
    given = gram if gram.flags.f_contiguous else gram.T
    reflectors, diagonal, beside, scale, _ = _sytrd(given, lower=1, lwork=work)
    # The first row and column stay as they are: reflectors act on all others.
    rest = np.asfortranarray(sides[1:])
    below = np.asfortranarray(reflectors[1:, :-1])
    turned = _ormqr("L", "T", below, scale, rest, 64 * (sides.shape[1] + 65))[0]
    return Spectrum(diagonal, beside, np.concatenate([np.asarray(sides[:1], dtype=np.float64), turned]))
