"""First and second moments of a block of features: without them each score would go through all rows again.

Moments of a concatenation are made of those of its parts, so all subsets of several blocks need every row once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from transfuse.errors import UserError


@dataclass(frozen=True, eq=False)
class Moments:
    """What linear scores need of a block X [N, D] and its classes y [N].

    `mean [D]`; `gram [D, D]` of the centred block; `sums [D, C]` of centred rows by class; `counts [C]`; `rows` N;
    `width` the block's own D, which is larger than that of `gram` where a wide block was turned into fewer columns;
    `fourth` the sum of the fourth powers of the centred rows' lengths.
    """

    mean: np.ndarray
    gram: np.ndarray
    sums: np.ndarray
    counts: np.ndarray
    rows: int
    width: int
    fourth: float = float("nan")

    def part(self, runs: Sequence[slice]) -> Moments:
        """The moments of some runs of columns side by side."""
        gram = np.block([[self.gram[down, across] for across in runs] for down in runs])
        mean, sums = (np.concatenate([each[run] for run in runs]) for each in (self.mean, self.sums))
        return Moments(mean, gram, sums, self.counts, self.rows, len(mean))


def checked_block(block: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The block in float64. Raises: `UserError` where it is no finite table with a row for each target."""
    values = np.asarray(block, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(targets) or not np.isfinite(values).all():
        expected = f"[{len(targets)}, D] finite numbers"
        raise UserError("features do not match their targets", expected=expected, got=f"{list(values.shape)} or NaN")
    return values


def class_sums(values: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """The sum of the rows of each class. [N, D], [N] -> [D, C]; rows stay where they lie, no one-hot table is made."""
    order = np.argsort(targets, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(targets, minlength=classes))])
    return (csr_array((np.ones(len(order)), order, ends), shape=(classes, len(order))) @ values).T


def moments(block: np.ndarray, targets: np.ndarray, classes: int) -> Moments:
    """The moments of one block. Raises: `UserError` as `checked_block`."""
    values = checked_block(block, targets)
    mean = values.mean(axis=0)
    centred = values - mean
    lengths = np.einsum("nd,nd->n", centred, centred)
    return Moments(
        mean=mean,
        gram=centred.T @ centred,
        sums=class_sums(centred, targets, classes),
        counts=np.bincount(targets, minlength=classes).astype(np.float64),
        rows=len(values),
        width=values.shape[1],
        fourth=float(lengths @ lengths),
    )


def turned(block: np.ndarray) -> np.ndarray:
    """A block with as many columns as rows at most and the same inner products: exact for all that rotations keep.

    [N, D] -> [N, min(N, D)]; a block that is not wider than long comes back as it is.
    """
    if block.shape[0] >= block.shape[1]:
        return block
    return np.asarray(np.linalg.qr(block.T, mode="r")).T


def narrowed(blocks: Sequence[np.ndarray], limit: int) -> tuple[list[np.ndarray], bool]:
    """Blocks whose widths together are at most `limit`, and whether they still tell all that they told.

    A block wider than long is turned without loss. Where that does not suffice, each block keeps its share of the limit
    as principal components: the largest share that all can have, narrow blocks staying whole.
    """
    kept = [turned(np.asarray(block, dtype=np.float64)) for block in blocks]
    if sum(block.shape[1] for block in kept) <= limit:
        return kept, True
    share, left, room = 0, sorted(block.shape[1] for block in kept), limit
    for place, width in enumerate(left):
        share = room // (len(left) - place)
        if width > share:
            break
        room -= width
    share = max(share, 1)
    return [principal(block, share) if block.shape[1] > share else block for block in kept], False


def principal(block: np.ndarray, width: int) -> np.ndarray:
    """The block's first principal components, not scaled; the mean stays in them. [N, D] -> [N, width].

    A component's sign is chosen so that its largest weight is positive.
    """
    from scipy.linalg import eigh

    mean = block.mean(axis=0)
    centred = block - mean
    size = block.shape[1]
    vectors = eigh(centred.T @ centred, subset_by_index=[max(size - width, 0), size - 1])[1][:, ::-1]
    heads = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return block @ (vectors * np.where(heads < 0, -1.0, 1.0))
