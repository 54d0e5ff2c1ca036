"""Whether checkpoints come from one start: without it weights that have nothing in common would be averaged.

Networks fine-tuned from one start keep their weights' directions: cosines of the raw weights are near one. Networks
trained apart have cosines near zero, whatever they learned. If their units only stand in another order, what does not
depend on order (each layer's lengths of rows and columns, sorted) still agrees. Only numbers of the checkpoints are
read; how well a merge works is for data to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

from transfuse.fusion.buffers import MEAN, VARIANCE, what_is_no_weight
from transfuse.fusion.preflight import FLOATS, START, misfits
from transfuse.source.weights import Reader

Verdict = Literal["mergeable", "align first", "do not merge"]
# Fine-tunes of one start measured here have median cosines above 0.9, networks trained apart below 0.1.
SAME_START = 0.5
# Sorted row lengths of reordered networks agree to rounding; of networks trained apart they differ by per cents.
SAME_LENGTHS = 1e-3
LONELY = 3.0


@dataclass(frozen=True)
class Pair:
    """Two checkpoints side by side.

    `cosine` is the median over tensors of two or more axes, `distance` |a - b| / sqrt(|a| |b|) over all weights; either
    is None where all checkpoints have no such tensor in common.
    `lengths` is the mean relative difference of sorted row lengths. `mean_drift` is BatchNorm's |mean_a - mean_b| in
    deviations, `variance_drift` |log(var_a / var_b)|, both means over channels; None without BatchNorm. With a base,
    `task_cosine` is the cosine of what each changed.
    """

    first: str
    second: str
    cosine: float | None
    distance: float | None
    lengths: float
    mean_drift: float | None
    variance_drift: float | None
    task_cosine: float | None
    verdict: Verdict
    why: str


@dataclass(frozen=True)
class Lineage:
    """All pairs, the changes since the base as shares of its length, what does not fit, and one verdict for all."""

    pairs: tuple[Pair, ...]
    changes: dict[str, float]
    misfits: tuple[str, ...]
    verdict: Verdict
    why: str

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def lineage(members: Mapping[str, Reader], base: Reader | None = None) -> Lineage:
    """What the weights of two or more checkpoints tell of where they come from; what does not fit is left out."""
    wrong = misfits(members, base)
    readers = {**members, **({START: base} if base is not None else {})}
    names = _common(readers)
    sums = {pair: _Sums() for pair in combinations(members, 2)}
    changes = dict.fromkeys(members if base is not None else (), 0.0)
    length = 0.0
    for name in names:
        arrays = {who: np.asarray(reader.read(name), dtype=np.float64) for who, reader in readers.items()}
        start = arrays.pop(START, None)
        for (first, second), found in sums.items():
            found.add(name, arrays[first], arrays[second], start)
        if start is not None and not what_is_no_weight(name, names):
            length += float(np.square(start).sum())
            for who in members:
                changes[who] += float(np.square(arrays[who] - start).sum())
    pairs = tuple(found.pair(first, second) for (first, second), found in sums.items())
    changes = {who: float(np.sqrt(change / max(length, 1e-300))) for who, change in changes.items() if names}
    verdict, why = _together(pairs, wrong)
    return Lineage(pairs, changes, tuple(wrong), verdict, why)


def lone(pairs: Sequence[Pair]) -> str | None:
    """The one checkpoint of three or more that lies at least three times as far from its nearest neighbour as any two
    others lie from each other (distance = 1 - cosine); None where there is no such one."""
    apart = {(pair.first, pair.second): 1 - pair.cosine for pair in pairs if pair.cosine is not None}
    names = list(dict.fromkeys(name for both in apart for name in both))
    for name in names if len(names) > 2 else ():
        nearest = min(far for both, far in apart.items() if name in both)
        others = max(far for both, far in apart.items() if name not in both)
        if nearest > LONELY * max(others, 1e-6):
            return name
    return None


def _common(readers: Mapping[str, Reader]) -> list[str]:
    """Float tensors that all have in one shape."""
    first = next(iter(readers.values()))
    found = []
    for name in first.names():
        metas = [reader.meta(name) for reader in readers.values() if name in set(reader.names())]
        same = len(metas) == len(readers) and len({shape for shape, _ in metas}) == 1
        if same and all(dtype in FLOATS for _, dtype in metas):
            found.append(name)
    return found


class _Sums:
    """What is added up for a pair over its tensors."""

    def __init__(self) -> None:
        self.cosines: list[float] = []
        self.lengths: list[float] = []
        self.compared = False
        self.squares = np.zeros(3)
        self.tasks = np.zeros(3)
        self.drifts: dict[str, list[float]] = {MEAN: [], VARIANCE: []}
        self.means: dict[str, np.ndarray] = {}

    def add(self, name: str, a: np.ndarray, b: np.ndarray, start: np.ndarray | None) -> None:
        stem, _, last = name.rpartition(".")
        if last == MEAN:
            self.means[stem] = np.abs(a - b)
            return
        if last == VARIANCE:
            self._drift(stem, a, b)
            return
        self.compared = True
        self.squares += [np.square(a).sum(), np.square(b).sum(), np.square(a - b).sum()]
        if start is not None:
            left, right = a - start, b - start
            self.tasks += [np.square(left).sum(), np.square(right).sum(), (left * right).sum()]
        if a.ndim > 1 and a.size:
            scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
            self.cosines.append(float((a * b).sum()) / scale if scale else float(not (a - b).any()))
            self.lengths.append(_lengths(a, b))

    def _drift(self, stem: str, a: np.ndarray, b: np.ndarray) -> None:
        floor = 1e-12
        middle = np.sqrt(np.maximum(a, floor) * np.maximum(b, floor))
        self.drifts[VARIANCE] += np.abs(np.log(np.maximum(a, floor) / np.maximum(b, floor))).ravel().tolist()
        if stem in self.means:
            self.drifts[MEAN] += (self.means[stem] / np.sqrt(middle)).ravel().tolist()

    def pair(self, first: str, second: str) -> Pair:
        cosine = float(np.median(self.cosines)) if self.cosines else None
        lengths = float(np.mean(self.lengths)) if self.lengths else 1.0
        a, b, apart = self.squares
        task = self.tasks[2] / np.sqrt(self.tasks[0] * self.tasks[1]) if self.tasks[:2].all() else None
        verdict, why = _judged(cosine, lengths)
        drift = {name: float(np.mean(values)) if values else None for name, values in self.drifts.items()}
        distance = float(np.sqrt(apart / max(np.sqrt(a * b), 1e-300))) if self.compared else None
        tasks = None if task is None else float(task)
        return Pair(
            first, second, cosine, distance, lengths, drift[MEAN], drift[VARIANCE], tasks, verdict=verdict, why=why
        )


def _lengths(a: np.ndarray, b: np.ndarray) -> float:
    """How much the sorted lengths of rows and of columns differ, relatively: no reordering of units changes them."""
    found = []
    for axis in (0, 1):
        left, right = (
            np.sort(np.sqrt(np.square(np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)).sum(axis=1)))
            for array in (a, b)
        )
        found.append(float(np.abs(left - right).mean() / max(float(left.mean() + right.mean()) / 2, 1e-300)))
    return max(found)


def _judged(cosine: float | None, lengths: float) -> tuple[Verdict, str]:
    if cosine is None:
        return "do not merge", "there is no tensor of two axes in common that could tell"
    if cosine >= SAME_START:
        return "mergeable", f"their weights point the same way (median cosine {cosine:.3f}): one start"
    if lengths <= SAME_LENGTHS:
        why = f"their weights differ (median cosine {cosine:.3f}), but every layer has the same rows in another order"
        return "align first", why
    why = f"their weights have nothing in common (median cosine {cosine:.3f}): they were trained from different starts"
    return "do not merge", why


def _together(pairs: tuple[Pair, ...], wrong: list[str]) -> tuple[Verdict, str]:
    """The worst pair speaks for all."""
    if not pairs:
        return "do not merge", "a lineage needs two checkpoints"
    rank = {"mergeable": 0, "align first": 1, "do not merge": 2}
    worst = max(pairs, key=lambda pair: rank[pair.verdict])
    if wrong and worst.verdict == "mergeable":
        return "do not merge", f"{len(wrong)} tensors do not fit, though the others share a start: {wrong[0]}"
    return worst.verdict, f"{worst.first} and {worst.second}: {worst.why}"
