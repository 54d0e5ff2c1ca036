"""One band form of a Gram matrix for any shift of its diagonal; without it each shift would cost D³ operations again.

    S = Q B Qᵀ,   z = Qᵀ b:   bᵀ (t I + S)⁻¹ b = zᵀ (t I + B)⁻¹ z,   log |t I + S| = log |t I + B|

Eigenvalues and eigenvectors are never made. B is tridiagonal while the matrix fits into the processor's cache; beyond,
where half of such a reduction would wait for memory, it is a band: that takes products of matrices alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

_gemm, _trsm = get_blas_funcs(("gemm", "trsm"), dtype=np.float64)
_geqrf, _trtri, _potrf = get_lapack_funcs(("geqrf", "trtri", "potrf"), dtype=np.float64)
_LAPACK = ("pttrf", "pttrs", "sytrd", "sytrd_lwork", "ormqr")
_pttrf, _pttrs, _sytrd, _sytrd_lwork, _ormqr = get_lapack_funcs(_LAPACK, dtype=np.float64)

# More columns than this become a band.
LARGE = 1280
# Columns that are reduced at once: products this wide are almost as fast as any, and factors are still cheap.
WIDTH = 64
# Rows of the matrix that lie together: products of fewer would spend their time on moving numbers. A multiple of WIDTH.
TALL = 2 * WIDTH


@dataclass(frozen=True, eq=False)
class Shifted:
    """At one shift, with P = t I + B: zᵀ P⁻¹ z of each right-hand side and mᵀ P⁻¹ z with the last one m, [q] each; and
    log |P|."""

    own: np.ndarray
    last: np.ndarray
    logdet: float


@dataclass(frozen=True, eq=False)
class Tridiagonal:
    """B by its diagonal [D] and what stands beside it [D − 1]; `turned [D, q]` are the right-hand sides Qᵀ b."""

    diagonal: np.ndarray
    beside: np.ndarray
    turned: np.ndarray

    def at(self, shift: float) -> Shifted | None:
        """None where shift · I + B is not positive definite."""
        diagonal, beside, failed = _pttrf(self.diagonal + shift, self.beside)
        if failed:
            return None
        solved = _pttrs(diagonal, beside, self.turned)[0]
        own = np.einsum("dq,dq->q", self.turned, solved)
        return Shifted(own, self.turned[:, -1] @ solved, float(np.log(diagonal).sum()))


@dataclass(frozen=True, eq=False)
class Band:
    """B as a block tridiagonal: of each row of blocks the one on the diagonal [w, w], the transpose of the one to its
    right [w', w] and that of Qᵀ b [q, w], each column by column."""

    blocks: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]

    def at(self, shift: float) -> Shifted | None:
        """By L⁻¹ z, L Lᵀ = shift · I + B; None where that is not positive definite."""
        own, last = np.zeros((2, len(self.blocks[0][2])))
        logdet, across, told = 0.0, np.empty((0, 0)), np.empty((0, 0))
        for given, right, sides in self.blocks:
            lead = given.copy(order="F")
            lead.ravel(order="K")[:: len(lead) + 1] += shift
            if across.size:
                # Copies lie column by column, so they are changed where they are.
                _gemm(-1.0, across, across, 1.0, lead, trans_b=1, overwrite_c=1)
                sides = _gemm(-1.0, told, across, 1.0, sides.copy(order="F"), trans_b=1, overwrite_c=1)
            factor, failed = _potrf(lead, lower=1, clean=0, overwrite_a=1)
            if failed:
                return None
            logdet += 2.0 * float(np.log(np.diagonal(factor)).sum())
            # Z Lᵀ = S is solved for twice as fast as L Zᵀ = Sᵀ.
            told = _trsm(1.0, factor, sides, side=1, lower=1, trans_a=1)
            own += np.einsum("qd,qd->q", told, told)
            last += told @ told[-1]
            across = _trsm(1.0, factor, right, side=1, lower=1, trans_a=1) if right.size else right
        return Shifted(own, last, logdet)


def reduced(gram: np.ndarray, sides: np.ndarray) -> Tridiagonal | Band:
    """The form of a symmetric matrix [D, D] and the turned right-hand sides [D, q], q ≥ 1."""
    return band(gram, sides) if len(gram) > LARGE else tridiagonal(gram, sides)


def tridiagonal(gram: np.ndarray, sides: np.ndarray) -> Tridiagonal:
    """By LAPACK, one column after the other. Householder, 1958."""
    size = len(gram)
    if size < 3:
        # The solver wants room for one number beside a diagonal of one.
        beside = gram[1:, :1].ravel().astype(np.float64) if size == 2 else np.zeros(1)
        return Tridiagonal(np.diag(gram).astype(np.float64), beside, np.array(sides, dtype=np.float64, order="F"))
    work = int(_sytrd_lwork(size, lower=1)[0])
    # A symmetric matrix is its own transpose: what lies row by row is given as it lies, without a copy.
    given = gram if gram.flags.f_contiguous else gram.T
    reflectors, diagonal, beside, scale, _ = _sytrd(given, lower=1, lwork=work)
    # The first row and column stay as they are: reflectors act on all others.
    turned = np.array(sides, dtype=np.float64, order="F")
    below = np.asfortranarray(reflectors[1:, :-1])
    turned[1:] = _ormqr("L", "T", below, scale, np.asfortranarray(turned[1:]), 64 * (sides.shape[1] + 65))[0]
    return Tridiagonal(diagonal, beside, turned)


def band(gram: np.ndarray, sides: np.ndarray) -> Band:
    """By block reflectors, WIDTH columns at once; up to twice as many nothing is to be done.

    Bischof, Lang, Sun, ACM Transactions on Mathematical Software, 2000.
    """
    size = len(gram)
    # The upper triangle, a few rows at a time, each from its diagonal on: what is updated lies together, and row by
    # row, for products change it where it is.
    rows = [np.array(gram[start : start + TALL, start:], dtype=np.float64, order="C") for start in range(0, size, TALL)]
    turned = np.array(sides, dtype=np.float64, order="C")
    blocks, start = [], 0
    while rows:
        head, below = rows[0][:WIDTH], rows[0][WIDTH:, WIDTH:]
        rows[:1] = [np.ascontiguousarray(below)] if len(below) else []
        width = len(head)
        lead, beside = head[:, :width], head[:, width:]
        stop = start + width
        if beside.shape[1] > width:
            beside = _turned_below(beside, rows, turned[stop:])
        blocks.append(tuple(np.asfortranarray(each) for each in (lead, beside.T, turned[start:stop].T)))
        start = stop
    return Band(tuple(blocks))


def _turned_below(beside: np.ndarray, rows: list[np.ndarray], turned: np.ndarray) -> np.ndarray:
    """Reflectors Q = I − V T Vᵀ that leave of P = `beside`ᵀ [m, w] an upper triangle R alone: Rᵀ [w, w]. The matrix in
    `rows` becomes Qᵀ A Q = A − V Wᵀ − W Vᵀ, the sides Qᵀ b, both where they are.

    W = A V T − ½ V Tᵀ (Vᵀ A V) T.
    """
    width = len(beside)
    found, scale = _geqrf(np.asfortranarray(beside.T), lwork=64 * width, overwrite_a=1)[:2]
    corner = np.triu(found[:width]).T
    found[:width] = np.tril(found[:width], -1) + np.eye(width)
    # A column that needs no reflector has scale 0.
    found[:, scale == 0.0] = 0.0
    inverse = np.triu(_gemm(1.0, found, found, trans_a=1), 1) + np.diag(1.0 / np.where(scale == 0.0, 1.0, scale))
    inner, vectors = _trtri(inverse)[0], np.ascontiguousarray(found)
    outer = _times(rows, vectors)
    middle = -0.5 * (inner.T @ (vectors.T @ outer) @ inner)
    outer = outer @ inner
    outer += vectors @ middle
    pair, other = np.concatenate([vectors, outer], axis=1), np.concatenate([outer, vectors], axis=1)
    start = 0
    for row in rows:
        stop = start + len(row)
        _gemm(-1.0, pair[start:].T, other[start:stop].T, 1.0, row.T, trans_a=1, overwrite_c=1)
        start = stop
    part = _gemm(1.0, _gemm(1.0, turned.T, vectors.T, trans_b=1), inner)
    _gemm(-1.0, part, vectors.T, 1.0, turned.T, overwrite_c=1)
    return corner


def _times(rows: list[np.ndarray], vectors: np.ndarray) -> np.ndarray:
    """A V [m, w] of the symmetric matrix whose upper triangle is in `rows`; each row is added where its sum lies."""
    found, start = np.zeros(vectors.shape), 0
    for row in rows:
        stop = start + len(row)
        _gemm(1.0, vectors[start:stop].T, row.T, 1.0, found[start:].T, trans_b=1, overwrite_c=1)
        found[start:stop] += row[:, len(row) :] @ vectors[stop:]
        start = stop
    return found
