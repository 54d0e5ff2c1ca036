"""Items that look almost the same: without it a drawing and its resized copy could stand on both sides of a split.

Two images are near-duplicates where their marks, 16 x 16 grey values of the whole image, correlate at 0.99 or more:
resized, recompressed, brightened and lightly edited copies do. Mirrored, turned and cropped copies are not found.
Texts have marks and a threshold of their own (text_marks.py).
Correlations rest on whole numbers and are exact, so neither blocks nor the order of rows change what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from transfuse.data import text_marks
from transfuse.data.items import Items, Label
from transfuse.errors import UserError
from transfuse.fields import IMAGE, TEXT

# With 16 x 16 values of eight bits a sum of products stays below 2**24: exact in float32, whatever adds it up.
SIDE = 16
THRESHOLD = 0.99
MOST_IMAGES = 20_000
BLOCK = 512
THRESHOLDS = {IMAGE: THRESHOLD, TEXT: text_marks.THRESHOLD}
# Raise it when the same images would be found to be others' near-duplicates than before.
REVISION = 1


def marks(raw: Callable[[int], np.ndarray], rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """The marks `[n, 256]` uint8 of these rows: grey, averaged to 16 x 16, darkest value to 0 and lightest to 255.

    What `raw` gives as `[n]` are the bytes of a text.
    """
    found = (raw(int(row)) for row in rows)
    each = [text_marks.mark(one) if one.ndim == 1 else _mark(one) for one in found]
    return np.array(each, dtype=np.uint8).reshape(len(rows), SIDE * SIDE)


def alike(ones: np.ndarray, others: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """Which of the marks `[n, 256]` and `[m, 256]` are near-duplicates, bool `[n, m]`; one tone is like none."""
    sums, other_sums = ones.sum(axis=1, dtype=np.float64), others.sum(axis=1, dtype=np.float64)
    products = (ones.astype(np.float32) @ others.astype(np.float32).T).astype(np.float64)
    covariance = ones.shape[1] * products - sums[:, None] * other_sums
    return covariance >= threshold * (_spread(ones, sums)[:, None] * _spread(others, other_sums))


def clustered(items: Items, raw: Callable[[int], np.ndarray], field: str = IMAGE) -> Items:
    """The items with clusters as groups: near-duplicates of near-duplicates, exact copies, and declared groups whole.

    `raw(row)` are the pixels. A cluster is named by its first id in alphabetical order. Errors: more images than can be
    compared pair by pair (20,000).
    """
    if len(items) > MOST_IMAGES:
        raise UserError(
            f"too many {field}s to look for near-duplicates among all pairs",
            where="data.groups",
            expected=f"at most {MOST_IMAGES:,} {field}s",
            got=f"{len(items):,}",
            hint="give a column of groups instead: {csv: FILE, group: COLUMN}",
        )
    images, first = marks(raw, range(len(items))), np.arange(len(items))
    for names in (items.digests, items.groups):
        if names is not None:
            first = _joined(first, *_same(names))
    for start, rows, columns in _pairs(images, THRESHOLDS[field]):
        first = _joined(first, rows + start, columns + start)
    name: dict[int, str] = {}
    for place, item in zip(first.tolist(), items.ids, strict=True):
        name[place] = min(name.get(place, item), item)
    return replace(items, groups=tuple(name[place] for place in first.tolist()))


def described(items: Items, field: str = IMAGE) -> list[str]:
    """Sentences on clusters for the report; none where every cluster is a single item."""
    labels: dict[str, list[Label]] = {}
    for group, label in zip(items.groups or (), items.labels, strict=bool(items.groups)):
        labels.setdefault(group, []).append(label)
    several = [held for held in labels.values() if len(held) > 1]
    if not several:
        return [f"no two {field}s are near-duplicates"]
    largest = max(len(held) for held in several)
    sentences = [
        f"{len(several)} clusters of near-duplicates cover {sum(map(len, several))} {field}s (the largest {largest}); "
        "they stay on one side"
    ]
    if items.kind != "multiclass":
        return sentences
    mixed = sum(len(set(held) - {None}) > 1 for held in several)
    return [*sentences, f"{mixed} of these clusters hold {field}s of more than one class"] if mixed else sentences


def _mark(raw: np.ndarray) -> np.ndarray:
    if raw.dtype == np.uint8:
        grey = Image.fromarray(raw).convert("L").convert("F")
    else:
        red, green, blue = (raw, raw, raw) if raw.ndim == 2 else np.moveaxis(raw, 2, 0)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        grey = Image.fromarray(np.ascontiguousarray(luma, dtype=np.float32))
    # A plain box weighs whole pixels only: it would lose every tenth resized copy.
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.HAMMING)).astype(np.float64).ravel()
    low, high = small.min(), small.max()
    return np.rint((small - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)


def _spread(images: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """n times the standard deviation [N]; infinite for an image of one tone, which correlates with nothing."""
    squares = np.square(images, dtype=np.float64).sum(axis=1)
    spread = np.sqrt(images.shape[1] * squares - np.square(sums))
    return np.where(spread > 0, spread, np.inf)


def _pairs(images: np.ndarray, threshold: float) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Near-duplicates block by block: where the block starts, and (row, column) counted from there."""
    for start in range(0, len(images), BLOCK):
        rows, columns = np.nonzero(alike(images[start : start + BLOCK], images[start:], threshold))
        yield start, rows, columns


def _same(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    first: dict[str, int] = {}
    return np.arange(len(names)), np.array([first.setdefault(name, row) for row, name in enumerate(names)])


def _joined(first: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The first row of each row's component [N], once these pairs of rows are joined as well."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = np.concatenate([np.arange(len(first)), ones]), np.concatenate([first, others])
    edges = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(len(first), len(first)))
    number = connected_components(edges, directed=False)[1]
    return np.unique(number, return_index=True)[1][number]
