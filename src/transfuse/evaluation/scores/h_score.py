"""H-score: how much of the features' spread lies between the classes.

    tr(cov(F)⁺ cov(E[F | y])) = Σ_c s_cᵀ S⁺ s_c / n_c,   S the centred Gram matrix, s_c the class's sum of centred rows

Between 0 and C − 1; one-hot features give C − 1 exactly. Unchanged by any invertible affine map of F. Eigenvalues
below ten times D · eps of the largest are rounding and left out: a fixed cut of 1e-15 gives 9.97 where 9 is true.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.types import Undefined, Value

CITATION = "Bao et al., An information-theoretic approach to transferability in task transfer learning, ICIP 2019"
TRAITS = {"default": True, "unit": "classes told apart"}
ORDER = 40


def score(material: Material) -> Value:
    """The share between classes; undefined where the features do not vary."""
    form, counts = material.spectrum, material.moments.counts
    if form.rank == 0:
        return Undefined("the features are the same on all rows")
    there = counts > 0
    between = form.quadratic(slice(0, material.classes))[there] / counts[there]
    return float(np.sum(between))
