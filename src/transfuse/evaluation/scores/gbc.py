"""GBC: how far apart the classes lie, each taken for a Gaussian, by the Bhattacharyya overlap of all pairs.

    −Σ_{c ≠ c'} exp(−B(c, c')),   B = ⅛ dᵀ S⁻¹ d + ½ ln(det S / √(det S_c det S_c')),   d the difference of means, S the
    mean of both covariances, on the first principal components

Between −C(C − 1), all classes alike, and 0, all far apart.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.evaluation.probes.moments import principal
from transfuse.types import Value

CITATION = "Pandy et al., Transferability estimation using Bhattacharyya class separability, CVPR 2022"
PARAMETERS = {
    "width": {"type": "int", "default": 64, "low": 1, "high": 4096, "doc": "principal components that are kept"},
    "covariance": {
        "type": "str",
        "default": "diagonal",
        "options": ("diagonal", "spherical"),
        "doc": "one variance a column, or one a class",
    },
}
TRAITS = {"default": False, "unit": "overlap"}
ORDER = 70
LEAST_VARIANCE = 1e-8


def score(material: Material, *, width: int, covariance: str) -> Value:
    """Minus the summed overlap of all ordered pairs of classes."""
    block, targets = material.square, np.asarray(material.targets)
    if block.shape[1] > width:
        block = principal(block, width)
    groups = [block[targets == number] for number in material.present]
    means = np.stack([group.mean(axis=0) for group in groups])
    variances = np.stack([group.var(axis=0) for group in groups])
    if covariance == "spherical":
        variances = np.broadcast_to(variances.mean(axis=1, keepdims=True), variances.shape)
    return -overlap(means, variances + LEAST_VARIANCE)


def overlap(means: np.ndarray, variances: np.ndarray) -> float:
    """Σ over ordered pairs of classes of exp(−B) for diagonal Gaussians. [C, d] each."""
    logs = np.log(variances).sum(axis=1)
    total = 0.0
    for number in range(len(means) - 1):
        between = (variances[number] + variances[number + 1 :]) / 2
        apart = ((means[number] - means[number + 1 :]) ** 2 / between).sum(axis=1) / 8
        spread = (np.log(between).sum(axis=1) - (logs[number] + logs[number + 1 :]) / 2) / 2
        total += 2.0 * float(np.exp(-apart - spread).sum())
    return total
