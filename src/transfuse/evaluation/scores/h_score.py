"""H-score: how much of the features' spread lies between the classes.

    tr(cov(F)⁺ cov(E[F | y])) = Σ_c s_cᵀ S⁺ s_c / n_c,   S the centred Gram matrix, s_c the class's sum of centred rows

Between 0 and C − 1; one-hot features give C − 1 exactly. Unchanged by any invertible affine map of F. Columns that
depend on others to within rounding tell nothing more and are left out: keeping all that is above 1e-15 gives 9.97 where
9 is true.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import get_lapack_funcs, solve_triangular

from transfuse.evaluation.material import Material
from transfuse.evaluation.probes.moments import Moments
from transfuse.types import Undefined, Value

CITATION = "Bao et al., An information-theoretic approach to transferability in task transfer learning, ICIP 2019"
TRAITS = {"default": True, "unit": "classes told apart"}
ORDER = 40
(_pstrf,) = get_lapack_funcs(("pstrf",), dtype=np.float64)


def score(material: Material) -> Value:
    """The share between classes; undefined where the features do not vary."""
    if not np.diag(material.moments.gram).any():
        return Undefined("the features are the same on all rows")
    return between(material.moments)


def between(found: Moments) -> float:
    """Σ s_cᵀ S⁺ s_c / n_c over the classes that are there, by Cholesky with pivots.

    Where a column of F is a sum of others, the rest gives the same: S⁺ need not be made. A pivot up to ten times
    D · eps of the largest is rounding.
    """
    size, there = len(found.gram), found.counts > 0
    cut = 10.0 * size * np.finfo(np.float64).eps * float(np.diag(found.gram).max())
    factor, order, rank, _ = _pstrf(np.asfortranarray(found.gram), lower=1, tol=cut)
    kept = order[:rank] - 1
    half = solve_triangular(factor[:rank, :rank], found.sums[np.ix_(kept, there)], lower=True, check_finite=False)
    return float((np.einsum("dc,dc->c", half, half) / found.counts[there]).sum())
