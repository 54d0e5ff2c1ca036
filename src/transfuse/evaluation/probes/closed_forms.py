"""Every set of sources, fused in closed form: without this file each set would compute the same inner products anew.

    scores = K (K + λ N I)^{-1} Y       K = X Xᵀ of the fused columns X [N, D] on the training rows, Y one-hot, centred

is the ridge head's answer on its own training rows (kernel form; the column form gives the same numbers). What sets
have in common is computed once a source:

    concat      K_S = Σ_k B_k B_kᵀ                        B_k standardised columns of source k
    pca_concat  X_S = [P_k of the set]                    P_k first directions of source k, at equal loudness
    select      X_S = the best quarter of the set's columns by F, which of a column does not depend on the set

Everything is float64. Training rows only: which set generalises is for held rows or leave-one-out to say, and
`leave_one_out` gives that from the same matrices: r_i / (1 − H_ii) (Stone 1974; Golub, Heath, Wahba 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import linalg

from transfuse.errors import UserError
from transfuse.spreads import SMALLEST_SPREAD, varying

PENALTY = 0.1
DIRECTIONS = 128
FUSERS = ("concat", "pca_concat", "select")


def every_set(
    blocks: Sequence[np.ndarray], targets: np.ndarray, classes: int, *, penalty: float = PENALTY
) -> dict[tuple[str, tuple[int, ...]], np.ndarray]:
    """{(fuser, members): scores [N, C]} of every set of the sources' blocks [N, D_k], by every closed-form fuser."""
    _check(blocks, targets)
    wanted = _targets(targets, classes)
    parts = [_standardised(block) for block in blocks]
    ratios = [_ratios(part, targets) for part in parts]
    kernels = [part @ part.T for part in parts]
    reduced = [_reduced(part, kernel) for part, kernel in zip(parts, kernels, strict=True)]
    found = {}
    for count in range(1, len(blocks) + 1):
        for members in combinations(range(len(blocks)), count):
            found["concat", members] = _solved(np.sum([kernels[member] for member in members], axis=0), wanted, penalty)
            few = np.concatenate([reduced[member] for member in members], axis=1)
            found["pca_concat", members] = _ridge(few, wanted, penalty)
            columns = _chosen([parts[member] for member in members], [ratios[member] for member in members])
            found["select", members] = _ridge(columns, wanted, penalty)
    return found


def alone(
    fuser: str, blocks: Sequence[np.ndarray], targets: np.ndarray, classes: int, *, penalty: float = PENALTY
) -> np.ndarray:
    """The same scores [N, C] of one set by one fuser, computed from its blocks alone."""
    _check(blocks, targets)
    parts = [_standardised(block) for block in blocks]
    if fuser == "pca_concat":
        parts = [_reduced(part, part @ part.T) for part in parts]
    if fuser == "select":
        columns = _chosen(parts, [_ratios(part, targets) for part in parts])
    else:
        columns = np.concatenate(parts, axis=1)
    return _ridge(columns, _targets(targets, classes), penalty)


def leave_one_out(kernel: np.ndarray, targets: np.ndarray, classes: int, *, penalty: float = PENALTY) -> np.ndarray:
    """Scores [N, C] of each row by the ridge head fitted to all other rows, from the kernel [N, N] of all."""
    wanted = _targets(targets, classes)
    inverse = np.linalg.inv(kernel + penalty * len(kernel) * np.eye(len(kernel)))
    return wanted - (inverse @ wanted) / np.diag(inverse)[:, None]


def _check(blocks: Sequence[np.ndarray], targets: np.ndarray) -> None:
    shapes = [np.shape(block) for block in blocks]
    if not shapes or any(len(shape) != 2 or shape[0] != len(targets) for shape in shapes):
        raise UserError("blocks do not match the targets", expected=f"[{len(targets)}, D] each", got=str(shapes))


def _targets(targets: np.ndarray, classes: int) -> np.ndarray:
    hot = np.eye(classes)[targets]
    return hot - hot.mean(axis=0)


def _standardised(block: np.ndarray) -> np.ndarray:
    wide = np.asarray(block, dtype=np.float64)
    mean, spread = wide.mean(axis=0), wide.std(axis=0)
    # What does not vary stays as small as it is, as in the joints.
    return (wide - mean) / np.where(varying(spread, mean), spread, 1.0)


def _reduced(part: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The rows along the first directions [N, m], scaled to mean square 1. Signs are free: K does not know them."""
    rows, width = part.shape
    count = min(DIRECTIONS, width, rows)
    if width <= rows:
        _, vectors = linalg.eigh(part.T @ part, subset_by_index=[width - count, width - 1])
        found = part @ vectors
    else:
        values, vectors = linalg.eigh(kernel, subset_by_index=[rows - count, rows - 1])
        found = vectors * np.sqrt(np.maximum(values, 0.0))
    loudness = np.sqrt(np.mean(found**2))
    return found / loudness if loudness > SMALLEST_SPREAD else found


def _ratios(part: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """F of each column [D]; constant columns have 0."""
    names, member = np.unique(targets, return_inverse=True)
    counts = np.bincount(member).astype(np.float64)[:, None]
    means = np.zeros((len(names), part.shape[1]))
    np.add.at(means, member, part)
    means /= counts
    between = (counts * (means - part.mean(axis=0)) ** 2).sum(axis=0)
    within = ((part - means[member]) ** 2).sum(axis=0)
    ratio = (between / max(len(names) - 1, 1)) / np.maximum(within / max(len(part) - len(names), 1), 1e-300)
    return np.where(between <= 1e-12 * len(part), 0.0, ratio)


def _chosen(parts: Sequence[np.ndarray], ratios: Sequence[np.ndarray]) -> np.ndarray:
    """The best quarter of the set's columns [N, m], in their old order; equal F goes to the earlier column."""
    score = np.concatenate(ratios)
    best = np.argsort(-score, kind="stable")[: max(1, len(score) // 4)]
    return np.concatenate(parts, axis=1)[:, np.sort(best)]


def _ridge(columns: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    """The ridge head's answers, by whichever of the two forms is smaller."""
    rows, width = columns.shape
    if width >= rows:
        return _solved(columns @ columns.T, wanted, penalty)
    gram = columns.T @ columns
    gram[np.diag_indices(width)] += penalty * rows
    return columns @ linalg.cho_solve(linalg.cho_factor(gram, overwrite_a=True), columns.T @ wanted)


def _solved(kernel: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    shifted = np.array(kernel)
    shifted[np.diag_indices(len(kernel))] += penalty * len(kernel)
    return kernel @ linalg.cho_solve(linalg.cho_factor(shifted, overwrite_a=True), wanted)
