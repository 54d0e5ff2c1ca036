"""E-LEEP: LEEP of several sources at once; their empirical predictors are averaged before the one logarithm.

    mean_i log (1/S) Σ_s Σ_z P_s(y_i | z) θ_s,iz

For one source it is LEEP. It foretells an average of answers, not a fusion of features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.evaluation.scores.leep import predicted
from transfuse.types import Value

CITATION = "Agostinelli et al., Transferability metrics for selecting source model ensembles, CVPR 2022"
NEEDS = ("answers",)
TRAITS = {"default": False, "unit": "nats", "sets": True}
ORDER = 32


def score(material: Material) -> Value:
    """Of one source: LEEP."""
    return together([material])


def together(materials: Sequence[Material]) -> Value:
    """Mean log of the mean of the sources' predictors."""
    return float(np.log(np.mean([predicted(material) for material in materials], axis=0)).mean())
