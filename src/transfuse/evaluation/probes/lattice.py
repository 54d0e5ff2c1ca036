"""Every set of sources at once: without it the best pair could be found only by trying each as if it were alone.

Inner products between two sources are computed once; those of a set are put together from these blocks, so what is left
for each set is a reduction to a band (LogME; of many sets an elimination that they share, in `together.py`) or a
Cholesky factor (ridge heads, in `ridge.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from transfuse.evaluation.probes.logme_fit import GramSide, KernelSide, best, mean_evidence
from transfuse.evaluation.probes.moments import Moments, checked_block, moments, narrowed
from transfuse.evaluation.probes.together import Names, Together, width_of, worth_it
from transfuse.types import Value

MOST_SOURCES = 10
WIDEST = 2048


def subsets(names: Iterable[str], largest: int | None = None) -> list[Names]:
    """All non-empty sets up to a size, the smallest first, in the order of the names."""
    known = list(names)
    sizes = range(1, (largest or len(known)) + 1)
    return [each for size in sizes for each in combinations(known, size)]


def logme_of_sets(
    blocks: Mapping[str, np.ndarray],
    targets: np.ndarray,
    classes: int,
    sets: Sequence[Names],
    *,
    widest: int = WIDEST,
) -> tuple[dict[Names, Value], bool]:
    """LogME of the concatenated features of each set, and whether it is exact: beyond `widest` columns in all, each
    source keeps its share of principal components.

    The same as the score of the concatenation, from moments of all columns that are made once.
    """
    kept, exact = narrowed([checked_block(block, targets) for block in blocks.values()], widest)
    ends = np.cumsum([0, *(block.shape[1] for block in kept)])
    runs = {name: slice(*ends[place : place + 2]) for place, name in enumerate(blocks)}
    whole = moments(np.concatenate(kept, axis=1), targets, classes)
    parts = dict(zip(blocks, kept, strict=True))
    present = np.unique(targets).tolist()
    wanted = [names for names in sets if names]
    narrow = [names for names in wanted if width_of(runs, names) < whole.rows]
    found: dict[Names, Value] = {}
    if worth_it(whole, runs, narrow, len(present) + 1):
        levels = best(Together(whole, runs, narrow, present)).reshape(len(narrow), -1)
        found = {names: mean_evidence(level) for names, level in zip(narrow, levels, strict=True)}
    for names in wanted:
        if names not in found:
            found[names] = mean_evidence(best(_side(names, runs, whole, parts, targets, present)))
    return {names: found[names] for names in wanted}, exact


def _side(
    names: Names,
    runs: Mapping[str, slice],
    whole: Moments,
    parts: Mapping[str, np.ndarray],
    targets: np.ndarray,
    present: Sequence[int],
) -> GramSide | KernelSide:
    if width_of(runs, names) < whole.rows:
        return GramSide(whole.part([runs[name] for name in names]), present)
    kernel = np.sum([parts[name] @ parts[name].T for name in names], axis=0)
    return KernelSide(kernel, targets, present)
