"""TransRate with all classes weighed alike, as the published code has it: R(Z) − (1/C) Σ_c R(Z_c)."""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.evaluation.scores.transrate import gained
from transfuse.types import Value

CITATION = "Huang et al., Frustratingly easy transferability estimation, ICML 2022 (its published listing)"
TRAITS = {"default": False, "unit": "nats", "classes": False}
ORDER = 61


def score(material: Material) -> Value:
    """Classes that are there weigh the same."""
    weights = np.zeros(material.classes)
    weights[material.present] = 1.0 / len(material.present)
    return gained(material, weights)
