"""PARC: whether rows that differ in class differ in features, as a rank correlation in percent.

    100 · Spearman(1 − corr(rows of F), 1 − corr(rows of one-hot y)) over all pairs; columns of F are standardised first

Pairs that are equally far apart share their rank. The published code leaves it to rounding which of them comes first,
which moves its value by tenths; here distances are rounded to 12 digits before. One-hot features of balanced classes
give 100. Its cost grows with the square of the rows, so of more than `rows` those with the lowest draw of their ids are
taken.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from transfuse import seeds
from transfuse.evaluation.material import Material
from transfuse.types import Undefined, Value

CITATION = "Bolya, Mittapalli, Hoffman, Scalable diverse model selection for accessible transfer learning, NeurIPS 2021"
PARAMETERS = {"rows": {"type": "int", "default": 500, "low": 3, "high": 5000, "doc": "rows that are compared"}}
TRAITS = {"default": False, "unit": "% rank correlation"}
ORDER = 71


def score(material: Material, *, rows: int) -> Value:
    """Undefined where all rows have the same features, or classes, in the rows that are compared."""
    chosen = _chosen(material, rows)
    block, targets = material.block[chosen], np.asarray(material.targets)[chosen]
    spread = block.std(axis=0)
    standard = (block - block.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    if not (np.ptp(targets) > 0 and np.ptp(standard, axis=1).all()):
        return Undefined("a row's features are constant, or all rows are of one class, so nothing can be correlated")
    pairs = np.triu_indices(len(chosen), 1)
    # The correlation of two one-hot rows is 1 for one class, else −1/(C − 1): only equal or not matters to ranks.
    apart = (targets[:, None] != targets).astype(np.float64)[pairs]
    near = np.round(1.0 - np.corrcoef(standard)[pairs], 12)
    found = 100.0 * float(spearmanr(near, apart)[0])  # pyright: ignore[reportArgumentType]
    return found if np.isfinite(found) else Undefined("all pairs of rows are equally far apart")


def _chosen(material: Material, rows: int) -> np.ndarray:
    count = len(material.targets)
    if count <= rows:
        return np.arange(count)
    ids = list(material.ids) or [str(number) for number in range(count)]
    return np.sort(np.argsort(seeds.uniform(ids, "scores", "parc"), kind="stable")[:rows])
